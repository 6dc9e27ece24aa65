"""A user who is erased is gone: from the store, from every node within a second, from copies of the files made before."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import Message, Store, open_store
from holdfast.encryption import Encryption, KeyRing
from holdfast.errors import ConfigError, Erased, SessionGone, TurnAbandoned, TurnFailed
from holdfast.privacy.erasing import erase_user, readmit_user
from holdfast.privacy.exporting import export_user
from holdfast.turns.tenants import HANDOVERS, USAGE, WAITING
from holdfast.turns.turn import Turn

CANARY = "canary-7f3a"


class Noted:
    """What a turn notes."""

    keep = 3600.0

    def document(self, error: str) -> dict[str, Any]:
        return {"said": CANARY}


async def _answer(turn: Turn) -> None:
    turn.trace = Noted()
    await turn.step("look", lambda: CANARY)
    turn.state["secret"] = CANARY
    turn.emit("token", text=CANARY)
    turn.reply(f"I heard {turn.text}")


async def _gives_up(turn: Turn) -> None:
    raise TurnAbandoned(f"no answer to {turn.text}")


async def _talk(store: Store, user: str) -> None:
    for number in range(3):
        await store.run_turn(
            f"{user}-{number}", _answer, input=CANARY, user=user, stream=True, on_event=lambda *_: None
        )
    with pytest.raises((TurnFailed, TurnAbandoned)):
        await store.run_turn(f"{user}-0", _gives_up, input=CANARY, turn_id=f"{user}-failed")
    await store.deliveries.run_turn(f"{user}-d", _answer, input=CANARY, user=user)
    await store.beside(HANDOVERS).update(WAITING, {f"{user}-0": {"since": 1.0, "turn": "t"}})
    await store.beside(USAGE).update(user, {"_usage": {"tokens": 3}})
    await asyncio.sleep(0.05)  # traces are written beside


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    url = f"sqlite:///{tmp_path / 's.db'}"
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), key_age=0.6)
    async with open_store(url, encryption=encryption) as one, open_store(url, encryption=encryption) as two:
        yield one, two


def _raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_nothing_is_left_and_others_are_unharmed(nodes: tuple[Store, Store]) -> None:
    one, two = nodes
    for user in ("ann", "bob"):
        await _talk(one, user)
    assert await two.read_trace("bob-0", (await two.read_log("bob-0")).messages[0].turn_id) is not None
    done = await erase_user(one, "ann")
    assert (done.sessions, done.key_destroyed, done.left) == (3, True, [])
    assert done.notes >= 6  # three traces and the failed turn's, a delivery, a failure, counts
    for store in nodes:
        assert (await store.by_user("ann")).ids == []
        assert (await store.by_user("bob")).ids != []
        assert [failure.session_id async for failure in store.failures.list()] == ["bob-0"]
        assert list(await store.beside(HANDOVERS).get(WAITING)) == ["bob-0"]
    assert (await two.get("bob-1"))["secret"] == CANARY
    again = await erase_user(one, "ann")
    assert (again.sessions, again.notes) == (0, 0)


async def test_a_copy_of_the_files_made_before_is_dead(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    live.mkdir()
    ring = KeyRing({"k": os.urandom(32)})
    async with open_store(f"sqlite:///{live / 's.db'}", encryption=Encryption(ring)) as store:
        await _talk(store, "ann")
        await _talk(store, "bob")
        shutil.copytree(live, copy)
        assert CANARY.encode() not in _raw(live)
        await erase_user(store, "ann")
    for suffix in ("", "-wal", "-shm"):
        (copy / f"s.db.keys{suffix}").unlink(missing_ok=True)  # the vault has backups of its own, or none
    vault = f"sqlite:///{live / 's.db.keys'}"
    async with open_store(f"sqlite:///{copy / 's.db'}", encryption=Encryption(ring, vault)) as restored:
        assert (await restored.get("bob-0"))["secret"] == CANARY
        for read in (restored.get, restored.load, restored.read_log):
            with pytest.raises(Erased):
                await read("ann-0")


async def test_every_node_forgets_within_a_second(nodes: tuple[Store, Store]) -> None:
    one, two = nodes
    await _talk(two, "ann")
    assert await two.load("ann-0") is not None
    assert two.cache.entries
    await erase_user(one, "ann")
    assert not two.cache.entries
    assert await two.load("ann-0", allow_stale=True) is None


async def test_late_writes_are_refused(nodes: tuple[Store, Store]) -> None:
    one, two = nodes
    await two.update("ann-0", {"a": 1}, user="ann")
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> None:
        entered.set()
        await go_on.wait()
        turn.reply(CANARY)

    running = asyncio.create_task(two.run_turn("ann-0", slow, input=CANARY, turn_id="late"))
    await entered.wait()
    await erase_user(one, "ann")
    go_on.set()
    with pytest.raises((SessionGone, Erased)):
        await running
    late: list[Any] = [
        lambda store: store.update("ann-0", {"paid": True}),
        lambda store: store.set("ann-0", {"paid": True}),
        lambda store: store.run_turn("ann-0", _answer, input="hello"),
        lambda store: store.create(user="ann"),
        lambda store: store.update("new", {"a": 1}, user="ann", append=[Message.user("x")]),
        lambda store: store.run_turn("new", _answer, input="hello", user="ann"),
    ]
    for store in nodes:
        for write in late:
            with pytest.raises(Erased):
                await write(store)
        assert [session_id async for session_id in store.scan()] == []
    assert await readmit_user(one, "ann")
    await one.run_turn("again", _answer, input="hello", user="ann")
    assert (await two.get("again"))["secret"] == CANARY


async def test_an_erasure_may_be_interrupted_and_run_again(nodes: tuple[Store, Store]) -> None:
    one, two = nodes
    await _talk(one, "ann")

    class Stopped(Exception):
        pass

    def stop(what: str, done: int) -> None:
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        await erase_user(one, "ann", tell=stop)
    (left,) = (await two.by_user("ann")).ids
    with pytest.raises(Erased):
        await two.get(left)  # its key is gone already
    done = await erase_user(two, "ann")
    assert done.sessions == 1
    assert (await two.by_user("ann")).ids == []


async def test_without_encryption_all_is_deleted_and_it_says_what_is_left(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        await _talk(store, "ann")
        assert CANARY.encode() in _raw(tmp_path)
        done = await erase_user(store, "ann")
        assert (done.sessions, done.key_destroyed) == (3, False)
        assert "backups" in done.left[0]
        with pytest.raises(ConfigError, match="no encryption"):
            await readmit_user(store, "ann")
        assert CANARY.encode() not in _raw(tmp_path)  # deleted content is overwritten, and the log emptied


async def test_an_export_brings_all_of_one_user_and_nothing_of_others(nodes: tuple[Store, Store]) -> None:
    one, two = nodes
    await _talk(one, "ann")
    await one.run_turn("bob-0", _answer, input="of bob", user="bob")
    parts = [part async for part in export_user(two, "ann")]
    kinds = [kind for kind, _ in parts]
    assert kinds == ["about", "session", "session", "session", "delivery", "usage"]
    assert "bob" not in repr(parts)
    sessions = [content for kind, content in parts if kind == "session"]
    assert sum(len(session["messages"]) for session in sessions) == 7
    assert all(session["state"]["secret"] == CANARY and session["traces"] for session in sessions)
