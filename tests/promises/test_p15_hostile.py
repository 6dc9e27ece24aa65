"""P15: a hostile id reads and harms nobody else's session. (Over HTTP: tests/server/test_hostile_ids.py;
hostile records: test_p15_records.py; payloads: tests/server/test_hostile_payloads.py.)

Broken on purpose: ids that are compared after normalisation, cut at a NUL, or put into a pattern as they are. The mutants (a
store that folds ids in one of these ways) show that this would be seen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar
from unicodedata import normalize
from urllib.parse import quote

import pytest

from holdfast import Store, Turn
from holdfast.backends.records import SessionKey
from holdfast.errors import InvalidId
from hostile_ids import hostile_ids
from store_nodes import SOAK, Figures, Nodes

IDS = 10_000 if SOAK else 3_000
"""Ten thousand were run: docs/promises.md."""
T = TypeVar("T")


async def together(work: Callable[[T], Awaitable[object]], items: Iterable[T], at_once: int = 64) -> None:
    """Does the work for each, so many at once."""
    left = iter(items)

    async def one_after_the_other() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_the_other())


def never(turn: Turn) -> None:
    raise AssertionError("a finished turn's handler was called")


async def sessions_of_their_own(store: Store, ids: Sequence[str]) -> None:
    """Each id as a session, as another session's user, and as a turn: written, read back, half deleted, the other half intact."""
    place = {id_: number for number, id_ in enumerate(ids)}
    slow = (
        store.backend.name == "memory"
    )  # it looks through all sessions for each user, and for what is kept beside each
    looked = 50 if slow else 1

    def user_of(id_: str) -> str:
        return ids[-1 - place[id_]]

    async def write(id_: str) -> None:
        if place[id_] % 4:
            await store.set(id_, {"n": place[id_]}, user=user_of(id_))
        else:

            def answer(turn: Turn) -> None:
                turn.state["n"] = place[id_]
                turn.reply(turn.key.id)

            outcome = await store.run_turn(id_, answer, input=id_, turn_id=id_, user=user_of(id_))
            assert outcome.reply == id_

    async def check(id_: str) -> None:
        assert await store.get(id_) == {"n": place[id_]}, ascii(id_)
        if place[id_] % looked < 2:
            assert (await store.by_user(user_of(id_))).ids == [id_], ascii(id_)
        if place[id_] % 4 == 0:
            assert [one.content for one in (await store.read_log(id_)).messages] == [id_, id_]
            assert (await store.run_turn(id_, never, input=id_, turn_id=id_)).reply == id_

    await together(write, ids)
    await together(check, ids)
    assert sorted([id_ async for id_ in store.scan()]) == sorted(ids)
    gone = ids[:: 20 if slow else 2]
    left = [id_ for number, id_ in enumerate(ids) if number % (20 if slow else 2)]
    await together(store.delete, gone)
    await together(check, left)
    assert sorted([id_ async for id_ in store.scan()]) == sorted(left)

    async def gone_for_good(id_: str) -> None:
        assert await store.get(id_) == {}
        assert place[id_] % looked or (await store.by_user(user_of(id_))).ids == []

    await together(gone_for_good, gone)


@pytest.mark.timeout(400)
async def test_hostile_ids_are_sessions_users_and_turns_of_their_own(
    nodes: Nodes, rng: random.Random, figures: Figures
) -> None:
    store = await nodes.open(timeout=60, ttl="1h")
    ids = hostile_ids(IDS, rng)
    await sessions_of_their_own(store, ids)
    figures("P15", nodes.name, hostile_ids=len(ids), taken_for_another=0)


async def test_hostile_turn_ids_of_one_session_are_turns_of_their_own(nodes: Nodes, rng: random.Random) -> None:
    store = await nodes.open(timeout=60, outcomes=5_000)
    ids = hostile_ids(1_000, rng)

    async def run(id_: str) -> None:
        outcome = await store.run_turn("s", lambda turn: turn.reply(turn.id), input=id_, turn_id=id_, wait=60)
        assert outcome.reply == id_ and not outcome.replayed

    for id_ in ids:
        await run(id_)
    for id_ in ids:
        outcome = await store.run_turn("s", never, input=id_, turn_id=id_)
        assert outcome.reply == id_ and outcome.replayed, ascii(id_)


@pytest.mark.timeout(400)
async def test_hostile_tenants_keep_to_themselves(nodes: Nodes, rng: random.Random, figures: Figures) -> None:
    """The same session and user in each; and none of them can be the tenant in which Holdfast keeps its notes of another."""
    store = await nodes.open(timeout=60)
    ids = hostile_ids(IDS, rng)
    refused = [id_ for id_ in ids if "\x1f" in id_]
    tenants = [f"{nodes.tenant}{id_}"[:256] for id_ in ids if "\x1f" not in id_]
    tenants = list(dict.fromkeys(tenants))[:: 10 if nodes.name == "memory" else 1]  # see `slow` above
    for id_ in refused:
        with pytest.raises(InvalidId):
            store.for_tenant(id_)

    async def write(tenant: str) -> None:
        await store.for_tenant(tenant).set("same", {"tenant": tenant}, user="ann")

    async def check(tenant: str) -> None:
        own = store.for_tenant(tenant)
        assert await own.get("same") == {"tenant": tenant}
        assert (await own.by_user("ann")).ids == ["same"]

    async def delete(tenant: str) -> None:
        assert await store.for_tenant(tenant).delete("same")

    await together(write, tenants)
    await together(check, tenants)
    for tenant in tenants[:: len(tenants) // 20]:
        assert [id_ async for id_ in store.for_tenant(tenant).scan()] == ["same"]
    assert [id_ async for id_ in store.scan()] == []
    await together(delete, tenants[::2])
    await together(check, tenants[1::2])
    await together(delete, tenants[1::2])
    assert len(refused) > 100 and len(tenants) > 200
    figures("P15", nodes.name, hostile_tenants=len(tenants), refused=len(refused))


async def test_no_caller_reaches_what_is_kept_beside_a_tenant(nodes: Nodes) -> None:
    """Failed turns, traces, who waits for a person: of a tenant whose name is short, and of one whose name has to be shortened."""
    from hashlib import blake2b

    from holdfast.turns.tenants import FAILED, TRACES, belonging

    store = await nodes.open(timeout=30)
    for tenant in (f"{nodes.tenant}x", nodes.tenant + "y" * (256 - len(nodes.tenant))):
        victim = store.for_tenant(tenant)
        await victim.beside(TRACES).set("note", {"secret": 1})
        for name in (f"{tenant[:200]}{TRACES}", belonging(tenant, TRACES), belonging(tenant, FAILED)):
            with pytest.raises(InvalidId):
                store.for_tenant(name)
        twin = blake2b(tenant.encode(), digest_size=32).hexdigest()
        assert await store.for_tenant(twin).beside(TRACES).get("note") == {}
        assert await victim.beside(TRACES).get("note") == {"secret": 1}
        await victim.beside(TRACES).delete("note")


# --- mutants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fold",
    [
        lambda id_: normalize("NFC", id_),
        lambda id_: normalize("NFKC", id_),
        str.casefold,
        lambda id_: id_.split("\0")[0] or "-",
        str.strip,
        lambda id_: id_[:128],
        lambda id_: quote(id_, safe="%"),
    ],
    ids=["nfc", "nfkc", "casefold", "nul", "strip", "cut", "encoded-twice"],
)
async def test_a_store_that_takes_ids_for_each_other_is_caught(
    fold: Callable[[str], str], memory_nodes: Nodes, rng: random.Random
) -> None:
    store, between = await memory_nodes.interposed(cache_bytes=0)
    between.inner = _Folding(between.inner, fold)
    with pytest.raises((AssertionError, ExceptionGroup)):
        await sessions_of_their_own(store, hostile_ids(3_000, rng))


class _Folding:
    """A backend that takes ids for the same that are not."""

    def __init__(self, inner: Any, fold: Callable[[str], str]) -> None:
        self._inner = inner
        self._fold = fold

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in ("load", "commit", "delete", "begin", "read_log"):
            return method

        def call(key: SessionKey, *args: Any, **kwargs: Any) -> Any:
            return method(SessionKey(key.tenant, self._fold(key.id)), *args, **kwargs)

        return call
