"""Whose key a value is written with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from key_rings import encrypted, ring

from holdfast import Turn, open_store
from holdfast.backends.memory import MemoryBackend
from holdfast.backends.records import AlreadyThere, Committed, SessionKey
from holdfast.encryption import Encryption, KeyRing
from holdfast.encryption.backend import EncryptedBackend
from holdfast.encryption.owners import owner_of, place_of
from holdfast.errors import ConfigError
from holdfast.sessions.ids import filed_under
from holdfast.sessions.settings import settings_from
from holdfast.testing.calls import KEY, finish, got, granted, put, record_of, update, values
from holdfast.turns.store import TurnStore
from holdfast.turns.tenants import AUDIT, DELIVERIES, FAILED, TRACES, belonging
from holdfast.wiring import vault_of

LONG = "t" * 250


@pytest.mark.parametrize("tenant", ["", "acme", "t" * 201, LONG])
@pytest.mark.parametrize("user", ["u", "u\x1fx", "ü" * 120, "u" * 256])
def test_what_is_kept_beside_a_tenant_of_a_user_is_the_users_own(tenant: str, user: str) -> None:
    own = owner_of(tenant, user)
    assert owner_of(belonging(tenant, TRACES), filed_under(user, "s-1")) == own
    assert owner_of(belonging(tenant, DELIVERIES), user) == own
    for mark, name in ((AUDIT, "audit"), (FAILED, "failed")):
        assert owner_of(belonging(tenant, mark), name) == owner_of(tenant, "") != owner_of(tenant, name)


def test_no_two_users_or_places_are_one() -> None:
    names = ["", "a", "b", "ab", "a\x1fb", "aa", "a:b", "\x00", "a\x00"]
    assert len({owner_of(tenant, user) for tenant in ("", "a", "b", "ab") for user in names}) == 4 * len(names)
    places = {place_of(SessionKey(tenant, name)) for tenant in ("", "a", "aa") for name in names[1:]}
    assert len(places) == 3 * (len(names) - 1)


async def test_a_creation_over_a_session_that_a_turn_gave_birth_to_is_read_again() -> None:
    backend = encrypted(MemoryBackend())
    grant = await granted(backend, "t1")
    got(await backend.commit(KEY, update({"a": b"1"}, existence="new", appends=[b"said"])), Committed)
    assert values(await record_of(backend)) == {"a": b"1"}
    await finish(backend, "t1", grant, {"b": b"2"})
    other = EncryptedBackend(backend.inner, backend.vault)  # a node that has seen nothing of it
    assert values(await record_of(other)) == {"a": b"1", "b": b"2"}
    assert await other.commit(KEY, update({"a": b"3"}, existence="new")) == AlreadyThere()
    await other.delete(KEY)
    await put(other, {"a": b"4"})
    await put(backend, {"b": b"5"})  # this one still knows the former life
    assert values(await record_of(other)) == {"a": b"4", "b": b"5"}
    await backend.close()


async def test_a_failure_is_told_and_no_list_has_its_words(tmp_path: Path) -> None:
    async def fails(turn: Turn) -> None:
        raise RuntimeError(f"no answer to {turn.text}")

    backend = encrypted(MemoryBackend())
    async with TurnStore(backend, settings_from({"max_attempts": 1})) as store:
        with pytest.raises(RuntimeError):
            await store.run_turn("s", fails, input="canary", turn_id="t", user="ann")
        (failure,) = [one async for one in store.failures.list()]
        assert failure.error == "RuntimeError: no answer to canary"


async def test_a_vault_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    ring = KeyRing({"k": os.urandom(32)})
    with pytest.raises(ConfigError, match="lost with it"):
        await open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=Encryption(ring, "memory:"))


@pytest.mark.parametrize(
    ("url", "vault", "one"),
    [
        ("sqlite:///a.db", "sqlite:///./a.db", True),
        ("sqlite:///a.db", "sqlite:///b.db", False),
        ("redis://localhost", "redis://me:secret@127.0.0.1:6379/0", True),
        ("redis://localhost", "redis://127.0.0.1:6379/1", False),
        ("redis://localhost", "redis://keys", False),
        ("redis+sentinel://a:1,b:2/s/0", "redis+sentinel://a:1,b:2/s/0", True),
        ("redis+sentinel://a:1,b:2/s/0", "redis://a:1", False),
        ("sqlite:///a.db", "redis://a:1", False),
    ],
)
def test_a_vault_that_is_the_store_under_another_name_counts_as_the_store(url: str, vault: str, one: bool) -> None:
    assert vault_of(url, Encryption(ring(), vault=vault)) == (url if one else vault)


async def test_a_new_vaults_file_is_its_owners_alone(tmp_path: Path) -> None:
    ring = KeyRing({"k": os.urandom(32)})
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", encryption=Encryption(ring)) as store:
        await store.set("s", {"a": 1}, user="ann")
        modes = _modes(tmp_path)
        assert modes
        assert not any(mode & 0o077 for mode in modes)


def _modes(folder: Path) -> list[int]:
    return [file.stat().st_mode for file in folder.glob("s.db.keys*")]
