"""Damaged records: a typed error each, nothing shown as empty, nothing lost, nothing half-written, neighbours untouched."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from backports import zstd

from holdfast import Store
from holdfast.backends.records import ANY, Change, Delta
from holdfast.errors import CorruptRecord, FutureFormat, UnreadableRecord
from holdfast.sessions.codec import Codec
from store_nodes import Nodes

WHOLE = Codec().encode({"items": ["the same words"] * 500})
BROKEN: dict[str, tuple[bytes, type[UnreadableRecord]]] = {
    "empty": (b"", CorruptRecord),
    "noise": (b"\x00\xffnoise", CorruptRecord),
    "truncated": (WHOLE[: len(WHOLE) // 2], CorruptRecord),
    "bomb": (b"\x11\x00" + zstd.compress(bytes(100_000_000), 3), CorruptRecord),
    "future": (b"\x20\x00" + msgspec.msgpack.encode(1), FutureFormat),
    "encrypted": (b"\x10\x07" + msgspec.msgpack.encode(1), CorruptRecord),
    "deep": (b"\x10\x00" + b"\x91" * 50_000 + b"\xc0", CorruptRecord),
}
KINDS = sorted(BROKEN)


async def plant(store: Store, kind: str, *, in_log: bool = False) -> bytes:
    raw, _ = BROKEN[kind]
    changes = [] if in_log else [Change("bad", raw, ANY)]
    await store.backend.commit(store.key("s"), Delta(b"p" * 16, changes=changes, appends=[raw] if in_log else []))
    return raw


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broken_field_is_a_typed_error_and_can_be_replaced(store: Store, kind: str) -> None:
    await store.set("s", {"good": 1})
    raw = await plant(store, kind)
    await store.set("neighbour", {"good": 2})
    error = BROKEN[kind][1]
    with pytest.raises(error):
        await store.get("s")
    session = await store.load("s")
    assert session is not None
    assert session.state["good"] == 1
    with pytest.raises(error):
        session.state["bad"]
    with pytest.raises(error):
        await store.run_turn("s", lambda turn: turn.reply(str(turn.state["bad"])), input="x", turn_id="t")
    with pytest.raises(error):
        await store.update("s", lambda state: state["bad"])
    record: Any = await store.backend.load(store.key("s"), tail=10)
    assert record.fields["bad"].value == raw, "the damaged bytes are kept for whoever mends them"
    assert record.total == 0
    assert await store.get("neighbour") == {"good": 2}
    await store.update("s", {"bad": "mended"})
    assert await store.get("s") == {"good": 1, "bad": "mended"}
    outcome = await store.run_turn("s", lambda turn: turn.reply(turn.state["bad"]), input="x", turn_id="t")
    assert outcome.reply == "mended"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broken_message_is_a_typed_error_and_the_state_is_still_there(store: Store, kind: str) -> None:
    await store.run_turn("s", lambda turn: turn.state.update(good=1), input="first")
    await plant(store, kind, in_log=True)
    error = BROKEN[kind][1]
    with pytest.raises(error):
        await store.read_log("s")
    session = await store.load("s")
    assert session is not None
    with pytest.raises(error):
        list(session.messages)
    assert (await store.read_log("s", start=0, limit=1)).messages[0].content == "first"
    assert await store.get("s") == {"good": 1}
    await store.run_turn("s", lambda turn: turn.reply("still works"), input="x")
    assert (await store.read_log("s", start=2)).messages[1].content == "still works"


async def test_a_broken_outcome_is_a_typed_error_not_a_second_run(store: Store) -> None:
    from holdfast.testing.calls import asking

    key = store.key("s")
    request = asking("t", text=b"x")
    granted: Any = await store.backend.begin(key, request)
    delta = Delta(b"c" * 16, "t", granted.fence, granted.incarnation, outcome=b"\x10\x00\xff")
    await store.backend.commit(key, delta)
    calls: list[int] = []
    from holdfast.errors import TurnMismatch

    with pytest.raises((CorruptRecord, TurnMismatch)):
        await store.run_turn("s", lambda turn: calls.append(1), input="x", turn_id="t")
    assert calls == []


async def test_two_nodes_of_different_compression_read_each_other(nodes: Nodes) -> None:
    first, second = await nodes.open(compress_from=10), await nodes.open(compress_from=10**9)
    await first.set("s", {"text": "x" * 1000})
    assert await second.get("s") == {"text": "x" * 1000}
    await second.set("s", {"text": "y" * 1000})
    assert await first.get("s") == {"text": "y" * 1000}
