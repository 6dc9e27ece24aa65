"""What a message costs in Redis's memory, before and after packing, against the same messages as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from bench.dialogue import LANGUAGES, conversations
from bench.figures import Figure, at_most, figure
from bench.setting import Setting
from holdfast import Store, Turn, open_store
from holdfast.backends.contract import Packs
from holdfast.backends.redis.pages import PageLimits
from holdfast.testing.servers import RedisServer

TOPIC = "memory"
_PAGES: Final = (16, 32, 64, 128, 256)
_TURNS: Final = 500
_LOG: Final = ("l", "z")


class _Json(NamedTuple):
    """Bytes of the same messages as compact JSON in UTF-8: as they are, and without turn id and time."""

    whole: int
    text: int


class _Memory(NamedTuple):
    """Bytes in Redis: of the messages' keys, of all keys of the sessions, and by how much the server's memory grew."""

    log: int
    all_keys: int
    grown: int


async def measure(setting: Setting) -> list[Figure]:
    figures: list[Figure] = []
    for kind in LANGUAGES:
        async with RedisServer() as server:
            figures += await _of_kind(setting, server, kind)
    return figures


async def _of_kind(setting: Setting, server: RedisServer, kind: str) -> list[Figure]:
    setting.say(f"{kind}: building conversations")
    talks = list(conversations(setting.data, kind, setting.pick(_TURNS, 40)))[: setting.pick(20, 2)]
    if len(talks) > 1 and len(talks[-1]) < len(talks[0]):
        talks.pop()
    used = _used(server)
    async with open_store(f"{server.url}?prefix=plain&pack=no", ttl="7d") as store:
        ids = [f"talk-{n:031d}" for n in range(len(talks))]
        for session_id, talk in zip(ids, talks, strict=True):
            await _hold(store, session_id, talk)
        json = await _as_json(store, ids)
    messages = 2 * sum(map(len, talks))
    about = f"{messages // len(ids)} messages of {json.whole / messages:.0f} B in JSON, {len(ids)} sessions"
    plain = _memory(server, "plain", used)
    figures = _figures(kind, "unpacked", plain, json, messages, None, about)
    for page in _PAGES:
        setting.say(f"{kind}: pages of {page}")
        packed, served, client = await _packed(server, page, ids)
        us = 1e6 / messages
        took = f"packing took {served * us:.1f} us of the server's and {client * us:.1f} of a node's CPU a message"
        figures += _figures(
            kind, f"pages of {page}", packed, json, messages, 0.40 if page == PageLimits().page else None, took
        )
    return figures


async def _hold(store: Store, session_id: str, talk: Iterable[tuple[str, str]]) -> None:
    for question, said in talk:

        async def answer(turn: Turn, said: str = said) -> None:
            turn.state["step"] = turn.state.get("step", 0) + 1
            turn.reply(said)

        await store.run_turn(session_id, answer, input=question)


async def _as_json(store: Store, ids: list[str]) -> _Json:
    whole = text = 0
    for session_id in ids:
        async for message in store.messages(session_id):
            short: dict[str, Any] = {"role": message.role, "content": message.content}
            full = {**short, "turn_id": message.turn_id, "created_at": int(message.created_at)}
            whole += len(msgspec.json.encode(full))
            text += len(msgspec.json.encode(short))
    return _Json(whole, text)


async def _packed(server: RedisServer, page: int, ids: list[str]) -> tuple[_Memory, float, float]:
    """The same sessions under a prefix of their own, packed in pages of that size; and the CPU seconds of server and client."""
    prefix = f"p{page}"
    used = _used(server)
    for name in _keys(server, "plain"):
        server.command("COPY", name, name.replace("plain:", f"{prefix}:", 1))
    async with open_store(f"{server.url}?prefix={prefix}&page_messages={page}", cache_bytes=0) as store:
        assert isinstance(store.backend, Packs)
        served, client = server.cpu_seconds(), time.process_time()
        for session_id in ids:
            await store.backend.pack(store.key(session_id))
        served, client = server.cpu_seconds() - served, time.process_time() - client
    return _memory(server, prefix, used), served, client


def _keys(server: RedisServer, prefix: str) -> list[str]:
    found = server.command("KEYS", f"{prefix}:*")
    assert isinstance(found, list)
    return found


def _memory(server: RedisServer, prefix: str, used_before: int) -> _Memory:
    log = rest = 0
    for name in _keys(server, prefix):
        size = server.command("MEMORY", "USAGE", name, "SAMPLES", 0)
        assert isinstance(size, int)
        if name.split(":")[2] in _LOG:
            log += size
        elif name.split(":")[2] in ("s", "o"):
            rest += size
    return _Memory(log, log + rest, _used(server) - used_before)


def _used(server: RedisServer) -> int:
    return int(server.info("memory")["used_memory"])


def _figures(
    kind: str, how: str, memory: _Memory, json: _Json, messages: int, target: float | None, about: str
) -> list[Figure]:
    name = f"{kind}, {how}"
    return [
        figure(
            TOPIC,
            f"{name}: messages / their JSON",
            memory.log / json.whole,
            target=None if target is None else at_most(target),
            note=f"{memory.log / messages:.0f} B a message; {about}",
        ),
        figure(
            TOPIC,
            f"{name}: whole sessions / the messages' JSON",
            memory.all_keys / json.whole,
            note=f"server's memory grew by {memory.grown / messages:.0f} B a message; "
            f"messages / JSON of role and text only: {memory.log / json.text:.2f}",
        ),
    ]
