"""The ring's key is changed while nodes read and write: nobody notices, and the old key opens nothing any more."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from key_rings import encrypted, ring

from holdfast import open_store
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import Record
from holdfast.encryption import Encryption, KeyRing, Wrapped
from holdfast.encryption.owners import owner_of
from holdfast.encryption.vault import Vault
from holdfast.errors import ConfigError, KeyUnavailable
from holdfast.privacy.erasing import vault_of
from holdfast.testing.calls import KEY, put, record_of
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Turn

OLD, NEW = os.urandom(32), os.urandom(32)


async def _answer(turn: Turn) -> None:
    turn.state["count"] = turn.state.get("count", 0) + 1
    turn.reply(f"number {turn.state['count']}")


async def _busy(store: TurnStore, number: int, stop: asyncio.Event) -> int:
    turns = 0
    while not stop.is_set() or turns < 5:
        session = f"s-{number}-{turns % 3}"
        await store.run_turn(session, _answer, input="again", user=f"user-{number}-{turns % 3}")
        loaded = await store.load(session, user=f"user-{number}-{turns % 3}")
        assert loaded is not None
        assert loaded.messages[-1].content == f"number {loaded.state['count']}"
        turns += 1
    return turns


async def test_rotation_under_load_fails_no_read_and_no_write(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    before, both = KeyRing({"old": OLD}), KeyRing({"old": OLD, "new": NEW}, "new")
    async with (
        open_store(url, encryption=Encryption(before), cache_bytes=0) as one,
        open_store(url, encryption=Encryption(both), cache_bytes=0) as two,
    ):
        stop = asyncio.Event()
        # a node that knows the old key only goes on while others have both, as long as nothing is rotated
        work = [asyncio.create_task(_busy(store, number, stop)) for number, store in enumerate((one, two, two, two))]
        await asyncio.sleep(0.2)
        vault = vault_of(two)
        assert vault is not None
        owners = [owner async for owner in vault.owners()]
        assert len(owners) >= 6
        assert sum([await vault.rewrap(owner, new_key=number % 2 == 0) for number, owner in enumerate(owners)]) > 0
        assert not any([await vault.rewrap(owner) for owner in owners])  # again: nothing to do
        await asyncio.sleep(0.2)
        stop.set()
        assert min(await asyncio.gather(*work)) >= 5
        records = [await vault.record(owner) async for owner in vault.owners()]
        assert {name for record in records if record for name in record.keys.values()} == {"new"}
    async with open_store(url, encryption=Encryption(KeyRing({"new": NEW}))) as late:
        session = await late.load("s-1-0")
        assert session is not None
        assert session.total > 0
    async with open_store(url, encryption=Encryption(before)) as early:
        with pytest.raises(KeyUnavailable, match="no key 'new'"):
            await early.load("s-1-0")


async def test_after_a_new_key_of_its_own_a_user_writes_with_that_and_reads_both() -> None:
    inner = MemoryBackend()
    backend = encrypted(inner)
    await put(backend, {"a": b"one"})
    assert await backend.vault.rewrap(owner_of(KEY.tenant, ""), new_key=True)
    await put(backend, {"b": b"two"})
    record = await record_of(backend)
    assert (record.fields["a"].value, record.fields["b"].value) == (b"one", b"two")
    stored = await record_of(inner)
    assert [stored.fields[name].value[10] for name in "ab"] == [1, 2]
    await backend.close()


async def test_many_first_writers_make_one_key() -> None:
    vaults, inner, shared = MemoryBackend(), MemoryBackend(), ring()
    nodes = [encrypted(inner, Vault(vaults, shared, owned=False)) for _ in range(8)]
    await asyncio.gather(*[put(node, {f"f{n}": b"x"}) for n, node in enumerate(nodes)])
    stored = await record_of(inner)
    assert {field.value[2:11] for field in stored.fields.values()} == {owner_of(KEY.tenant, "") + b"\x01"}
    assert len((await record_of(nodes[0])).fields) == 8


class Remote:
    """A key service that answers over the network, and is out of reach at times."""

    def __init__(self) -> None:
        self.current = "projects/x/keys/1"
        self.calls = 0
        self._ring = ring(self.current)

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        self.calls += 1
        await asyncio.sleep(0.001)
        return await self._ring.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        self.calls += 1
        await asyncio.sleep(0.001)
        return await self._ring.unwrap(wrapped, context)


async def test_a_key_service_is_asked_once_a_user_and_node() -> None:
    service, inner, vaults = Remote(), MemoryBackend(), MemoryBackend()
    node = encrypted(inner, Vault(vaults, service))
    await asyncio.gather(*[put(node, {f"f{n}": b"x"}) for n in range(50)])
    for _ in range(20):
        assert isinstance(await node.load(KEY, tail=0), Record)
    assert service.calls <= 3
    await node.close()


async def test_a_users_wrapped_key_is_no_other_users() -> None:
    vaults = MemoryBackend()
    vault = Vault(vaults, ring())
    one, two = await vault.current("t", "one"), await vault.current("t", "two")
    stolen = (await vault._keys.get(one.owner.hex()))["1"]
    await vault._keys.update(two.owner.hex(), {"1": stolen})
    vault._forget_all()
    with pytest.raises(KeyUnavailable, match="damaged"):
        await vault.current("t", "two")
    await vault.close()


@pytest.mark.parametrize(
    ("keys", "current", "says"),
    [
        ({}, "", "at least one"),
        ({"a": b"short"}, "", "32 random"),
        ({"a": OLD, "b": NEW}, "", "which is the current"),
        ({"a": OLD}, "b", "not in the key ring"),
        ({"a": OLD, "b": OLD}, "a", "two names"),
    ],
)
def test_a_ring_that_is_none_is_refused(keys: dict[str, bytes], current: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        KeyRing(keys, current)
