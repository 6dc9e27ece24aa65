"""What a turn's attempts note is kept beside the session, for a while, on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import Store, Turn, open_store
from holdfast.backends.memory import MemoryBackend
from holdfast.errors import TurnAbandoned, TurnFailed
from holdfast.sessions.settings import settings_from
from holdfast.sync import Store as BlockingStore
from holdfast.testing import FakeClock
from store_nodes import Nodes


class Notes:
    """`Traced` of a few words."""

    def __init__(self, *words: str, keep: float = 60.0) -> None:
        self.keep = keep
        self.words = list(words)

    def document(self, error: str) -> dict[str, Any]:
        return {"words": self.words, "error": error}


async def answer(turn: Turn) -> None:
    turn.trace = notes = Notes()
    notes.words.append(f"heard {turn.text}")
    if turn.text == "fail" and turn.attempt == 1:
        raise RuntimeError("broken")
    if turn.text == "give up":
        raise TurnAbandoned("hopeless")
    turn.reply("ok")


@pytest.fixture
async def pair(nodes: Nodes) -> list[Store]:
    """Two nodes of one store."""
    return [await nodes.open(), await nodes.open()]


async def test_read_on_any_node(pair: list[Store]) -> None:
    one, other = pair
    await one.run_turn("s", answer, input="hi", turn_id="t-1")
    await one.run_turn("s", answer, input="you", turn_id="t-2")
    assert (await one.read_trace("s", "t-2")) is not None  # waits for the write
    for turn_id, heard in (("t-1", "heard hi"), ("t-2", "heard you")):
        found = await other.read_trace("s", turn_id)
        assert found is not None
        assert found.attempts == [(1, {"words": [heard], "error": ""})]
    assert await other.read_trace("s", "t-3") is None
    assert [one async for one in other.scan()] == ["s"]


async def test_attempts_that_fail_are_there(pair: list[Store]) -> None:
    one, other = pair
    await one.run_turn("s", answer, input="hi")
    with pytest.raises(RuntimeError):
        await one.run_turn("s", answer, input="fail", turn_id="t")
    await one.read_trace("s", "t")
    await other.run_turn("s", answer, input="fail", turn_id="t")
    found = await other.read_trace("s", "t")
    assert found is not None
    assert [(number, noted["error"]) for number, noted in found.attempts] == [(1, "RuntimeError: broken"), (2, "")]
    with pytest.raises(TurnFailed):
        try:
            await one.run_turn("s", answer, input="give up", turn_id="g")
        except TurnAbandoned:
            await one.run_turn("s", answer, input="give up", turn_id="g")
    found = await one.read_trace("s", "g")
    assert found is not None
    assert found.attempts[0][1]["error"] == "TurnAbandoned: hopeless"


async def test_gone_with_the_session(pair: list[Store]) -> None:
    one, other = pair
    await one.run_turn("s", answer, input="hi", turn_id="t")
    assert await one.read_trace("s", "t")
    assert await other.delete("s")
    assert await one.read_trace("s", "t") is None
    await one.run_turn("s", lambda turn: turn.reply("untraced"), input="hi", turn_id="t")
    assert await one.read_trace("s", "t") is None  # the same ids, another life
    kept = [note async for note in one.beside("\x1ftraces").scan()]
    assert kept == []


async def test_expires_before_its_session() -> None:
    clock = FakeClock()
    store = Store(MemoryBackend(clock=clock), settings_from({"ttl": "1h"}))

    async def brief(turn: Turn) -> None:
        turn.trace = Notes(keep=600)
        turn.reply("ok")

    async def long(turn: Turn) -> None:
        turn.trace = Notes(keep=7200)
        turn.reply("ok")

    await store.run_turn("s", brief, input="a", turn_id="brief")
    await store.run_turn("s", long, input="b", turn_id="long")
    assert await store.read_trace("s", "brief")
    assert await store.read_trace("s", "long")
    clock.advance(601)
    assert await store.read_trace("s", "brief") is None
    assert await store.exists("s")
    await store.touch("s")
    clock.advance(3000)
    assert await store.exists("s")
    assert await store.read_trace("s", "long") is None  # not longer than the session would have lived
    await store.close()


async def test_a_trace_that_cannot_be_kept_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Notes):
        def document(self, error: str) -> dict[str, Any]:
            return {"words": object()}

    async def answer(turn: Turn) -> None:
        turn.trace = Broken()
        turn.reply("ok")

    async with open_store("memory:") as store:
        assert (await store.run_turn("s", answer, input="a", turn_id="t")).reply == "ok"
        assert await store.read_trace("s", "t") is None


def test_blocking(tmp_path: Path) -> None:
    with BlockingStore(f"sqlite:///{tmp_path / 'x.db'}") as store:
        store.run_turn("s", answer, input="hi", turn_id="t")
        found = store.read_trace("s", "t")
        assert found is not None
        assert found.attempts[0][1]["words"] == ["heard hi"]
