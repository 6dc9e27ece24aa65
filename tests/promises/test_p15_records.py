"""P15, records: whatever bytes lie in the store, a read of them is an answer or a typed error, and other sessions are unharmed."""

from __future__ import annotations

import random
import resource
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdfast import Message, Store, open_store
from holdfast.errors import HoldfastError
from store_nodes import Figures, needs_redis_server

VICTIMS = 40
BOMBS = (
    b"\x10\x00" + b"\x91" * 3_000 + b"\xc0",
    b"\x10\x00\xdd\xff\xff\xff\xff",
    b"\x10\x00\xdf\xff\xff\xff\xff",
    b"\x10\x00\xc6\xff\xff\xff\xff",
    b"\x10\x00\xc9\xff\xff\xff\xff\x05",
    b"\x11\x00(\xb5/\xfd\xa0\xff\xff\xff\xff",
    b"\x20\x00x",
    b"\x00",
    b"",
)


async def filled(store: Store) -> None:
    """Sessions with state, a log, steps, and outcomes."""

    async def answer(turn: Any) -> None:
        turn.state["n"] = turn.text
        await turn.step("look", lambda: {"found": [1, 2, 3]})
        turn.append(Message("tool", "x" * 100, tool_call_id="c", metadata={"tool": "find"}))
        turn.reply("y" * 200)

    for number in range(VICTIMS):
        for session in (f"v{number}", f"n{number}"):
            for turn in range(3):
                await store.run_turn(session, answer, input=session, turn_id=f"t{turn}", user=f"u-{session}")


async def read_all(store: Store, session: str, seen: Counter[str]) -> None:
    """Every way in which a session is read, and some in which it is written."""

    async def log() -> None:
        async for message in store.messages(session):
            assert message.role

    async def loaded() -> None:
        found = await store.load(session, tail=50)
        if found is not None:
            dict(found.state)
            list(found.messages)

    for call in (
        lambda: store.get(session),
        loaded,
        log,
        lambda: store.by_user(f"u-{session}"),
        lambda: store.run_turn(
            session, lambda turn: turn.reply(str(len(list(turn.messages)))), input=session, turn_id="t1"
        ),
        lambda: store.run_turn(session, lambda turn: turn.reply(str(dict(turn.state))), input="new", wait=1),
        lambda: store.update(session, {"more": 1}),
        lambda: store.read_trace(session, "t1"),
    ):
        try:
            await call()
            seen["answered"] += 1
        except HoldfastError as error:
            seen[type(error).__name__] += 1


async def others_are_whole(store: Store) -> None:
    for number in range(VICTIMS):
        session = f"n{number}"
        assert await store.get(session) == {"n": session}
        assert [one.content for one in (await store.read_log(session)).messages][::3] == [session] * 3
        assert (await store.by_user(f"u-{session}")).ids == [session]


def broken(value: bytes, chance: random.Random) -> bytes:
    """The value with a few bytes changed, cut, or replaced."""
    data = bytearray(value)
    match chance.randrange(5):
        case 0:
            return chance.choice(BOMBS)
        case 1:
            return chance.randbytes(chance.choice((0, 1, 2, 40, 400)))
        case 2:
            return bytes(data[: chance.randint(0, len(data))])
        case _:
            for _ in range(chance.randint(1, 4)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            return bytes(data)


async def test_rows_of_a_file(tmp_path: Path, rng: random.Random, figures: Figures) -> None:
    path = tmp_path / "store.db"
    url = f"sqlite:///{path}"
    async with open_store(url) as store:
        await filled(store)
    seen: Counter[str] = Counter()
    columns = {
        "session": ("head", "user"),
        "field": ("value",),
        "log": ("entry",),
        "outcome": ("body", "op"),
        "step": ("value",),
    }
    planted = 0
    for _ in range(15):
        with sqlite3.connect(path) as db:
            sids = [
                sid for (sid,) in db.execute("SELECT sid FROM session WHERE tenant = x'' AND substr(id, 1, 1) = x'76'")
            ]
            assert len(sids) <= VICTIMS
            for table, names in columns.items():
                of = "place / 268435456" if table == "log" else "sid"
                where = f"{of} IN ({','.join(map(str, sids))})"
                for name in names:
                    rows = db.execute(f"SELECT rowid, {name} FROM {table} WHERE {where}" if table != "field" else
                                      f"SELECT sid, {name} FROM field WHERE {where}").fetchall()  # fmt: skip
                    for row, value in rng.sample(rows, min(len(rows), 8)):
                        key = "sid" if table == "field" else "rowid"
                        db.execute(
                            f"UPDATE {table} SET {name} = ? WHERE {key} = ?", (broken(bytes(value or b""), rng), row)
                        )
                        planted += 1
        db.close()
        async with open_store(url, timeout=10) as store:
            for number in range(VICTIMS):
                await read_all(store, f"v{number}", seen)
            await others_are_whole(store)
    assert seen["CorruptRecord"] > 50 and seen["answered"] > 50
    figures(
        "P15", "sqlite", planted=planted, reads=seen.total(), typed_errors=seen.total() - seen["answered"], foreign=0
    )


async def test_keys_of_a_server(rng: random.Random, figures: Figures) -> None:
    needs_redis_server()
    import redis

    from holdfast.testing.servers import RedisServer

    seen: Counter[str] = Counter()
    planted = 0
    with RedisServer() as server:
        raw = redis.Redis.from_url(server.url)
        async with open_store(server.url) as store:
            await filled(store)
        for _ in range(15):
            for key in [key for key in raw.scan_iter(count=1_000) if any(part in key for part in (b":v", b":u-v"))]:
                if rng.random() < 0.3:
                    planted += plant(raw, key, rng)
            async with open_store(server.url, timeout=10) as store:
                for number in range(VICTIMS):
                    await read_all(store, f"v{number}", seen)
                await others_are_whole(store)
        raw.close()
    assert seen["CorruptRecord"] > 50 and seen["answered"] > 50
    figures(
        "P15", "redis", planted=planted, reads=seen.total(), typed_errors=seen.total() - seen["answered"], foreign=0
    )


def plant(raw: Any, key: bytes, rng: random.Random) -> int:
    kind = raw.type(key)
    if kind == b"hash" and (fields := raw.hgetall(key)):
        name = rng.choice(sorted(fields))
        raw.hset(key, name, broken(fields[name], rng))
    elif kind == b"list" and (length := raw.llen(key)):
        place = rng.randrange(length)
        raw.lset(key, place, broken(raw.lindex(key, place), rng))
    elif kind == b"zset":
        raw.zadd(key, {broken(b"session", rng): rng.random() * 1e12})
    elif kind == b"string":
        raw.set(key, broken(raw.get(key), rng), keepttl=True)
    else:
        return 0
    return 1


@pytest.mark.parametrize("size", [1 << 20, 1 << 30])
def test_a_bomb_takes_no_more_memory_than_it_may(size: int) -> None:
    """Decompressed, a stored value has a bound; an array that says it is huge is not believed: in a process of little memory."""
    code = f"""
import resource
from backports import zstd
from holdfast.errors import CorruptRecord
from holdfast.sessions.codec import Codec, CodecLimits
packer = zstd.ZstdCompressor(3)
packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range({size} >> 20)) + packer.flush()
codec = Codec(CodecLimits(decoded_bytes=256 * 1024))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
for data in (b"\\x11\\x00" + packed, *{list(BOMBS[:6])!r}):
    try:
        codec.decode(data)
    except CorruptRecord:
        continue
    raise SystemExit("it was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 16 * 1024, "KB"
    assert resource.RLIMIT_AS
