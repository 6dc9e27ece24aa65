"""Holdfast: `run_turn` with a handler that reads the last messages and replies. Run with the environment of this project."""

from __future__ import annotations

import sys
from typing import Any

from bench.peers.answering import CONTEXT, TTL_S, serve
from holdfast import Store, Turn, open_store


class HoldfastTurns:
    def __init__(self, cached: bool) -> None:
        self._options: dict[str, Any] = {} if cached else {"cache_bytes": 0}
        self._store: Store
        self._said = self._reply = ""

    async def open(self, url: str, said: str, reply: str) -> None:
        self._store = await open_store(url, ttl=TTL_S, tail=CONTEXT, **self._options)
        self._said, self._reply = said, reply

    async def fill(self, session_id: str, messages: int) -> None:
        for _ in range(messages // 2):
            await self.turn(session_id)

    async def turn(self, session_id: str) -> int:
        read = 0

        async def answer(turn: Turn) -> None:
            nonlocal read
            read = len([message.content for message in turn.messages])
            turn.reply(self._reply)

        await self._store.run_turn(session_id, answer, input=self._said)
        return read

    async def close(self) -> None:
        await self._store.close()


if __name__ == "__main__":
    serve(HoldfastTurns(cached=sys.argv[1] == "cached"))
