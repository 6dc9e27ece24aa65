"""Erasures that others hear of late, or in the middle of something."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from holdfast import Store, open_store
from holdfast.encryption import Encryption, KeyRing, Wrapped
from holdfast.encryption.vault import Vault
from holdfast.errors import Erased, TurnAbandoned, TurnParked
from holdfast.privacy.erasing import erase_user, readmit_user, vault_of
from holdfast.privacy.retention import Rules, sweep
from holdfast.turns.failures import Failures
from holdfast.turns.tenants import HANDOVERS, WAITING
from holdfast.turns.turn import Turn
from holdfast.turns.usage import USAGE, Usage


class _SlowService:
    """A key service that answers when it may."""

    current = "k"

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.asked, self.may = asyncio.Event(), asyncio.Event()
        self.may.set()

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        return await self._ring.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        self.asked.set()
        await self.may.wait()
        return await self._ring.unwrap(wrapped, context)


def _vault(store: Store) -> Vault:
    vault = vault_of(store)
    assert vault is not None
    return vault


@pytest.mark.parametrize("reads", [True, False])
async def test_a_key_that_comes_after_its_erasure_is_not_kept(tmp_path: Path, reads: bool) -> None:
    url, ring = f"sqlite:///{tmp_path / 's.db'}", KeyRing({"k": os.urandom(32)})
    slow = _SlowService(ring)
    async with (
        open_store(url, encryption=Encryption(ring)) as one,
        open_store(url, encryption=Encryption(slow)) as two,
    ):
        await one.set("s", {"a": 1}, user="ann")
        slow.may.clear()
        late = asyncio.create_task(two.load("s") if reads else two.set("n", {"a": 1}, user="ann"))
        await slow.asked.wait()
        await _vault(one).destroy("", "ann", keep=60)
        await asyncio.sleep(1.2)  # the node has heard of it
        slow.may.set()
        with pytest.raises(Erased):
            await late
        for again in (two.get("s"), two.set("m", {"a": 1}, user="ann")):
            with pytest.raises(Erased):
                await again


async def test_no_verb_gives_birth_to_what_was_erased(tmp_path: Path) -> None:
    encryption = Encryption(KeyRing({"k": os.urandom(32)}))
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        await store.set("s", {"a": 1}, user="ann")
        vault = _vault(store)
        await vault.destroy("", "ann", keep=60)
        await vault.bury(store.key("s"), "ann", keep=60)
        await store.delete("s")
        for user in ("ann", "bob", ""):
            with pytest.raises(Erased):
                await store.update("s", {}, user=user, ttl=60)
        with pytest.raises(Erased):
            await store.update("n", {}, user="ann", ttl=60)
        assert not await store.touch("s", 60)
        assert (await store.by_user("ann")).ids == []


async def test_a_copy_that_the_store_calls_unchanged_is_no_answer_after_an_erasure(tmp_path: Path) -> None:
    url, encryption = f"sqlite:///{tmp_path / 's.db'}", Encryption(KeyRing({"k": os.urandom(32)}))
    async with open_store(url, encryption=encryption) as one, open_store(url, encryption=encryption) as two:
        await one.set("s", {"a": 1}, user="ann")
        assert await two.get("s") == {"a": 1}
        await _vault(one).destroy("", "ann", keep=60)
        cached = two.cache.get(two.key("s"), 0)
        assert cached is not None
        await asyncio.sleep(1.2)
        assert two.cache.entries == 0
        two.cache.put(two.key("s"), cached)  # as by a reply that was on its way
        with pytest.raises(Erased):
            await two.get("s")


async def test_a_node_that_missed_the_log_of_erasures_trusts_nothing(tmp_path: Path) -> None:
    url, encryption = f"sqlite:///{tmp_path / 's.db'}", Encryption(KeyRing({"k": os.urandom(32)}))
    async with open_store(url, encryption=encryption) as one, open_store(url, encryption=encryption) as two:
        await one.set("s", {"a": 1}, user="ann")
        await _vault(one).destroy("", "cat", keep=60)
        assert await two.get("s") == {"a": 1}
        vault = _vault(two)
        async with vault.feed._lock:  # it cannot look for a while, in which the log ends
            await _vault(one).destroy("", "ann", keep=60)
            await vault._keys.delete("feed")
        await asyncio.sleep(1.0)
        assert (two.cache.entries, len(vault._ciphers)) == (0, 0)
        with pytest.raises(Erased):
            await two.get("s")


async def test_copies_of_traces_and_of_long_tenants_are_forgotten(tmp_path: Path) -> None:
    encryption = Encryption(KeyRing({"k": os.urandom(32)}))
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        for tenant, user in (("", "ann"), ("t" * 250, "ann"), ("", "u" * 250)):
            mine = store.for_tenant(tenant)
            await mine.set("s", {"a": 1}, user=user)
            assert await mine.get("s") == {"a": 1}
            assert store.cache.entries == 1
            await _vault(store).destroy(tenant, user, keep=60)
            assert store.cache.entries == 0
            with pytest.raises(Erased):
                await mine.get("s")
            await mine.delete("s")


async def test_what_was_accepted_and_never_ran_is_dropped(tmp_path: Path) -> None:
    """Neither session has a commit, so that no list has it."""
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), key_age=0.3)

    async def waits(turn: Turn) -> None:
        await turn.wait_for("approval", timeout=1.5)
        raise AssertionError("an erased user's turn went on")

    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        store.handler("waits")(waits)
        await store.accept_turn("accepted", "waits", input="hello", turn_id="t", user="ann")
        await store.accept_turn("no input", "waits", turn_id="t", user="ann")
        with pytest.raises(TurnParked):
            await store.run_turn("parked", "waits", input="hello", turn_id="t", user="ann")
        await erase_user(store, "ann", keep=60)
        await asyncio.sleep(1.0)
        await store.recover()
        assert await store.backend.overdue() == []
        assert (await store.by_user("ann")).ids == []


async def test_a_user_who_is_readmitted_has_the_same_sessions_again(tmp_path: Path) -> None:
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), key_age=0.3)
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        for user in ("ann", "bob"):
            await store.set(f"chat of {user}", {"a": 1}, user=user)
            await erase_user(store, user, keep=60)
        assert await readmit_user(store, "ann")
        await store.set("chat of ann", {"a": 2}, user="ann")
        with pytest.raises(Erased):
            await store.set("chat of bob", {"a": 2}, user="ann")


async def test_lists_and_counts_are_clean_after_an_erasure_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), key_age=0.3)

    async def gives_up(turn: Turn) -> None:
        raise TurnAbandoned("no")

    async def killed(self: Failures, sessions: object) -> int:
        raise RuntimeError("killed")

    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        usage = Usage(lambda tenant: store.beside(USAGE), per=3600)
        for kept in (store, store.deliveries):
            with pytest.raises(Exception, match="no"):
                await kept.run_turn("s", gives_up, input="hello", turn_id="t", user="ann")
        await store.beside(HANDOVERS).update(WAITING, {"s": {"since": 1.0, "turn": "t"}})
        usage.add("", "ann", tokens=5)
        await usage.flush()
        with monkeypatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr(Failures, "drop", killed)
            await erase_user(store, "ann", keep=60)
        await erase_user(store, "ann", keep=60)
        assert await store.beside(HANDOVERS).get(WAITING) == {}
        for notes in (store.failures._notes, store.deliveries.failures._notes, store.beside(USAGE)):
            assert [name async for name in notes.scan()] == []


async def test_an_erasure_with_another_vault_says_that_it_destroyed_nothing(tmp_path: Path) -> None:
    url, ring = f"sqlite:///{tmp_path / 's.db'}", KeyRing({"k": os.urandom(32)})
    async with open_store(url, encryption=Encryption(ring)) as store:
        await store.set("s", {"a": 1}, user="ann")
    other = Encryption(ring, vault=f"sqlite:///{tmp_path / 'other.keys'}", key_age=0.3)
    async with open_store(url, encryption=other) as store:
        done = await erase_user(store, "ann", keep=60)
    assert (done.key_destroyed, done.sessions, len(done.left)) == (False, 1, 1)
    assert "encryption.vault" in done.left[0]


async def test_what_an_erasure_has_not_deleted_yet_stops_no_sweep(tmp_path: Path) -> None:
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), key_age=0.3)
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=encryption) as store:
        for user in ("ann", "bob"):
            await store.set(user, {"a": 1}, user=user)
        await _vault(store).destroy("", "ann", keep=60)
        swept = await sweep(store, Rules(sessions=60), now=lambda: time.time() + 120)
        assert (swept.looked_at, swept.unreadable, swept.sessions) == (2, 1, 1)
