"""What a commit costs a Redis server's processor, against a plain MULTI with the same bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Final

import hiredis

from bench.counters import Raw, ServerCounters
from bench.figures import Figure, at_most, figure
from bench.rounds import Cost, cost_of, interleaved, median, ratio
from bench.setting import Setting
from bench.workload import INPUT, REPLY, fresh, turn_id
from holdfast.backends.contract import Backend
from holdfast.backends.records import (
    ANY,
    BeginRequest,
    Birth,
    Change,
    Committed,
    Delta,
    Granted,
    SessionKey,
    Unchanged,
    Version,
)
from holdfast.sessions.settings import StoreSettings
from holdfast.testing.servers import RedisServer
from holdfast.wiring import open_backend

_DEPTH: Final = 64
"""Commands sent together, on both sides."""
_BIRTH: Final = Birth(ttl_ms=7_200_000)
_ENTRY_IN, _ENTRY_OUT, _VALUE = INPUT.encode(), REPLY.encode(), b"12345"


async def measure(setting: Setting) -> list[Figure]:
    async with RedisServer() as server:
        backend = await open_backend(server.url, StoreSettings())
        try:
            return await _server_cpu(setting, server, backend)
        finally:
            await backend.close()


async def _server_cpu(setting: Setting, server: RedisServer, backend: Backend) -> list[Figure]:
    with Raw(server.port) as raw, ServerCounters(server.port) as counters:
        turns = _Turns(backend, setting.pick(512, 64), counters)
        plain = _Multis(raw, setting.pick(512, 64), counters)
        updates = _Updates(backend, setting.pick(512, 64), counters)
        for _ in range(setting.pick(21, 1)):
            await turns.commits()  # the tail of 20 is full, and no list is small any more on either side
            await plain.multis()
        sides = {"MULTI": plain.multis, "commit": turns.commits, "update": updates.commits}
        costs = await interleaved(sides, setting.pick(21, 1), setting.say)
    multi, commit, update = costs.values()
    return [
        figure(
            "redis",
            "server CPU of a turn's commit / a plain MULTI of HSET, RPUSH, two PEXPIRE with the same bytes",
            ratio(commit, multi, "server_s"),
            target=at_most(2.5),
            note=f"{_tenths(commit)} / {_tenths(multi)} us",
        ),
        figure(
            "redis",
            "server CPU of a turn's begin (cached) / the same MULTI",
            ratio(turns.begins[-len(multi) :], multi, "server_s"),
            note=f"{_tenths(turns.begins)} us",
        ),
        figure(
            "redis",
            "server CPU of an update's commit / the same MULTI",
            ratio(update, multi, "server_s"),
            note=f"{_tenths(update)} us",
        ),
    ]


def _tenths(costs: Sequence[Cost]) -> str:
    return f"{median(costs, 'server_s') * 1e6:.1f}"


class _Turns:
    """Turns through the backend, begins apart from commits. Calls made together leave in one write, `_DEPTH` at a time."""

    def __init__(self, backend: Backend, sessions: int, counters: ServerCounters) -> None:
        self._backend = backend
        self._counters = counters
        self._keys = [SessionKey("", session_id) for session_id in fresh("commit", sessions)]
        self._known: dict[SessionKey, tuple[Version, int]] = {}
        self.begins: list[Cost] = []

    async def commits(self) -> Cost:
        granted: dict[SessionKey, tuple[str, Granted]] = {}

        async def begin(key: SessionKey) -> None:
            known = self._known.get(key)
            turn = turn_id()
            request = BeginRequest(
                turn, os.urandom(8), os.urandom(16), _ENTRY_IN, "", _BIRTH, 10_000, 3_000, 20, known and known[0]
            )
            reply = await self._backend.begin(key, request)
            assert isinstance(reply, Granted)
            assert known is None or isinstance(reply.record, Unchanged)
            granted[key] = turn, reply

        async def commit(key: SessionKey) -> None:
            turn, grant = granted[key]
            version, counter = self._known.get(key) or (None, 0)
            changes = [Change("step", _VALUE, counter)]
            delta = Delta(
                os.urandom(16),
                turn,
                grant.fence,
                grant.incarnation,
                version,
                changes=changes,
                appends=[_ENTRY_OUT],
                outcome=b"\x10\x00\x90",
            )
            reply = await self._backend.commit(key, delta)
            assert isinstance(reply, Committed)
            self._known[key] = reply.version, reply.version.counter

        async def together(call: object) -> None:
            assert callable(call)
            for at in range(0, len(self._keys), _DEPTH):
                await asyncio.gather(*[call(key) for key in self._keys[at : at + _DEPTH]])

        self.begins.append(await cost_of(lambda: together(begin), len(self._keys), self._counters))
        return await cost_of(lambda: together(commit), len(self._keys), self._counters)


class _Updates:
    """Commits outside a turn: the same bytes, without fence and lease."""

    def __init__(self, backend: Backend, sessions: int, counters: ServerCounters) -> None:
        self._backend = backend
        self._counters = counters
        self._keys = [SessionKey("", session_id) for session_id in fresh("update", sessions)]

    async def commits(self) -> Cost:
        async def all_of_them() -> None:
            for at in range(0, len(self._keys), _DEPTH):
                await asyncio.gather(*[update(self._backend, key) for key in self._keys[at : at + _DEPTH]])

        return await cost_of(all_of_them, len(self._keys), self._counters)


class _Multis:
    """The plain way: two messages and a changed field in one MULTI, with the expiry of both keys, sent by hand."""

    def __init__(self, raw: Raw, sessions: int, counters: ServerCounters) -> None:
        self._raw = raw
        self._counters = counters
        self._packed = [self._multi(session_id) for session_id in fresh("multi", sessions)]

    @staticmethod
    def _multi(session_id: str) -> bytes:
        state, log, ttl = f"hf:{{00}}:s::{session_id}", f"hf:{{00}}:l::{session_id}", _BIRTH.ttl_ms
        version = os.urandom(16)
        commands: list[tuple[str | bytes | int, ...]] = [
            ("MULTI",),
            ("HSET", state, "=step", _VALUE, "m", version),
            ("RPUSH", log, _ENTRY_IN, _ENTRY_OUT),
            ("PEXPIRE", state, ttl),
            ("PEXPIRE", log, ttl),
            ("EXEC",),
        ]
        return b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]

    async def multis(self) -> Cost:
        async def all_of_them() -> None:
            for at in range(0, len(self._packed), _DEPTH):
                batch = self._packed[at : at + _DEPTH]
                self._raw.send(b"".join(batch), 6 * len(batch))

        return await cost_of(all_of_them, len(self._packed), self._counters)


async def update(backend: Backend, key: SessionKey) -> bytes:
    """A commit that can be sent again and again: no fence to be granted first, and written whatever the field holds.

    Returns its commit id.
    """
    delta = Delta(os.urandom(16), changes=[Change("step", _VALUE, ANY)], appends=[_ENTRY_OUT], birth=_BIRTH)
    reply = await backend.commit(key, delta)
    assert isinstance(reply, Committed)
    return delta.commit_id
