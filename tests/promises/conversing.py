"""Conversations behind a round-robin proxy, as chat pages hold them: one turn at a time, followed to its end over as many
connections as that takes, each to whichever node comes next."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final

import httpx

SILENCE_S: Final = 3.0
"""A connection that brings nothing for so long is given up: its node may be frozen."""


class Seen:
    """One turn as its reader saw it.

    Attributes:
        text: what stands on the page. ended: the data of ``done``. runner: the node that said last that it writes.
        events: when each event came (`time.monotonic`), and its kind. connections: how many it took.
    """

    def __init__(self, turn_id: str, said: str) -> None:
        self.turn_id = turn_id
        self.said = said
        self.text = ""
        self.ended: dict[str, Any] | None = None
        self.runner = ""
        self.last_id = ""
        self.restarts = 0
        self.connections = 0
        self.events: list[tuple[float, str]] = []

    def take(self, kind: str, data: dict[str, Any], id_: str) -> None:
        self.events.append((time.monotonic(), kind))
        self.last_id = id_ or self.last_id
        if kind == "restarted":
            self.text = ""
            self.restarts += 1
        elif kind == "token":
            self.text += data["text"]
        elif kind == "status" and "node" in data:
            self.runner = data["node"]
        elif kind == "done":
            self.ended = data

    def next_after(self, moment: float) -> float | None:
        """When the first event after a moment came."""
        return next((at for at, _ in self.events if at > moment), None)


class Conversing:
    """One conversation that goes on until it is told to stop, and then ends its last turn."""

    def __init__(self, url: str, name: str) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)  # each request meets another node
        self._http = httpx.AsyncClient(base_url=url, limits=limits, timeout=httpx.Timeout(SILENCE_S, connect=2.0))
        self._name = name
        self.id = ""
        self.turns: list[Seen] = []
        self.stopping = False

    async def hold(self) -> None:
        """Until `stopping`."""
        async with self._http:
            while not self.id:
                try:
                    self.id = (await self._http.post("/v1/sessions", json={})).json()["id"]
                except (httpx.TransportError, KeyError, ValueError):
                    await asyncio.sleep(0.1)
            for number in count():
                if self.stopping:
                    return
                turn = Seen(f"{self._name}-{number}", f"question {self._name}-{number}")
                self.turns.append(turn)
                await self._to_its_end(turn)

    async def _to_its_end(self, turn: Seen) -> None:
        while turn.ended is None:
            try:
                async for kind, data, id_ in self._events(turn):
                    turn.take(kind, data, id_)
            except httpx.TransportError:
                pass
            if turn.ended is None:
                await asyncio.sleep(0.1)

    async def _events(self, turn: Seen) -> AsyncIterator[tuple[str, dict[str, Any], str]]:
        """Sent at first; then followed and sent again in turn."""
        path, turn.connections = f"/v1/sessions/{self.id}/turns", turn.connections + 1
        headers = {"Accept": "text/event-stream", "Idempotency-Key": turn.turn_id}
        if turn.last_id:
            headers["Last-Event-ID"] = turn.last_id
        if turn.connections % 2:
            asked = self._http.stream("POST", path, json={"input": turn.said}, headers=headers)
        else:
            asked = self._http.stream("GET", f"{path}/{turn.turn_id}/events", headers=headers)
        async with asked as answer:
            if answer.status_code != 200:
                return
            kind, id_ = "", ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    id_ = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value), id_
