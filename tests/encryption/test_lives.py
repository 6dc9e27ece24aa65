"""Every value is written with the key of whoever has the session now: however little a node knows of it, or how old that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from key_rings import ring

from holdfast import Store, open_store
from holdfast.encryption import Encryption
from holdfast.encryption.envelope import owner_in
from holdfast.encryption.owners import owner_of
from holdfast.privacy.erasing import vault_of
from holdfast.turns.turn import Turn


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    url, encryption = f"sqlite:///{tmp_path / 's.db'}", Encryption(ring())
    async with open_store(url, encryption=encryption) as one, open_store(url, encryption=encryption) as two:
        yield one, two


async def _owners(store: Store, session_id: str) -> set[bytes]:
    record = await store.backend.inner.load(store.key(session_id), tail=20)  # type: ignore[attr-defined]
    return {owner_in(value) for value in [*record.tail, *(field.value for field in record.fields.values())]}


async def _answer(turn: Turn) -> None:
    turn.state["said"] = 1
    turn.reply("yes")


async def test_a_look_at_a_session_whose_first_turn_runs_changes_nothing(nodes: tuple[Store, Store]) -> None:
    one, _ = nodes

    async def looked_at(turn: Turn) -> None:
        assert await one.get("s") == {}  # the page asks: there is no commit yet
        await turn.step("look", lambda: "found")
        await _answer(turn)

    await one.run_turn("s", looked_at, input="hello", user="ann")
    await one.run_turn("s", _answer, input="again")
    assert await _owners(one, "s") == {owner_of("", "ann")}


@pytest.mark.parametrize("way", ["touch", "first turn", "first turn, set", "takeover"])
async def test_who_was_told_nothing_writes_with_the_users_key(nodes: tuple[Store, Store], way: str) -> None:
    one, two = nodes
    for store in nodes:
        store.handler("answer")(_answer)

    async def meanwhile(turn: Turn) -> None:
        await (two.set("s", {"x": 1}) if "set" in way else two.update("s", {"x": 1}))
        await _answer(turn)

    if way == "touch":
        await one.set("s", {"a": 1}, user="ann")
        assert await two.touch("s")
        await two.update("s", {"x": 1})
    elif way == "takeover":
        await one.accept_turn("s", "answer", turn_id="t", user="ann")
        assert await two.recover() == 1
    else:
        await one.run_turn("s", meanwhile, input="hello", user="ann")
        assert (await two.get("s"))["x"] == 1
    assert await _owners(one, "s") == {owner_of("", "ann")}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(("before", "after"), [("ann", "bob"), ("ann", ""), ("", "bob")])
async def test_an_input_is_not_written_with_the_key_of_who_had_the_session_before(
    nodes: tuple[Store, Store], before: str, after: str, there: bool
) -> None:
    one, two = nodes
    await one.run_turn("s", _answer, input="hello", user=before)
    await two.delete("s")
    if there:
        await two.set("s", {"a": 1}, user=after)
    await one.run_turn("s", _answer, input="mine", user=after)
    assert await _owners(one, "s") == {owner_of("", after)}
    found = await two.load("s")
    assert found is not None
    assert [message.content for message in found.messages] == ["mine", "yes"]


async def test_a_session_of_another_user_is_refused_while_its_first_turn_runs(nodes: tuple[Store, Store]) -> None:
    from holdfast.errors import WrongUser

    one, two = nodes

    async def meanwhile(turn: Turn) -> None:
        with pytest.raises(WrongUser):
            await two.update("s", {"x": 1}, user="bob")

    await one.run_turn("s", meanwhile, input="hello", user="ann")


async def test_a_node_that_is_left_alone_keeps_nothing_in_memory(
    nodes: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.encryption.erased._IDLE_S", 0.5)
    one, _ = nodes
    await one.set("s", {"a": 1}, user="ann")
    assert await one.get("s") == {"a": 1}
    vault = vault_of(one)
    assert vault is not None
    assert (one.cache.entries, len(vault._ciphers)) == (1, 1)
    await asyncio.sleep(1.5)
    assert (one.cache.entries, len(vault._ciphers), len(vault._current)) == (0, 0, 0)
    assert await one.get("s") == {"a": 1}
