"""``holdfast turns``: failed and overdue turns are listed, tried anew and dropped."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command_line import cli

from holdfast import Store, Turn, open_store
from store_nodes import url_of


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


def answer(turn: Turn) -> None:
    assert turn.input is not None
    if turn.input.content == "bad":
        raise RuntimeError("no luck with \x1b[31mthis")
    turn.reply("fine")


@asynccontextmanager
async def opened(url: str, tenant: str) -> AsyncIterator[Store]:
    async with open_store(url, tenant=tenant, max_attempts=2) as store:
        store.handlers.register("answer", answer)
        yield store


async def prepare(url: str, tenant: str) -> None:
    """One turn that failed for good, one that nobody holds."""
    async with opened(url, tenant) as store:
        with pytest.raises(RuntimeError):
            await store.run_turn("s-failed", "answer", input="bad", turn_id="t")
        await store.recover()
        started = asyncio.Event()

        async def stuck(turn: Turn) -> None:
            started.set()
            await asyncio.Event().wait()

        store.handlers.register("stuck", stuck)
        task = asyncio.create_task(store.run_turn("s-overdue", "stuck", input="x", turn_id="t"))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def recovered(url: str, tenant: str) -> int:
    async with opened(url, tenant) as store:
        return await store.recover()


def test_what_needs_somebody_is_listed(url: str, tenant: str) -> None:
    asyncio.run(prepare(url, tenant))
    where = ("--store", url, "--tenant", tenant)
    rows = cli("turns", "ls", *where, "--json").lines
    assert [(row["state"], row["session"], row["turn"], row["handler"], row["attempts"]) for row in rows] == [
        ("failed", "s-failed", "t", "answer", 2),
        ("overdue", "s-overdue", "t", "stuck", 1),
    ]
    assert rows[0]["error"].startswith("RuntimeError: no luck")
    assert [row["state"] for row in cli("turns", "ls", "--failed", *where, "--json").lines] == ["failed"]
    assert [row["state"] for row in cli("turns", "ls", "--overdue", *where, "--json").lines] == ["overdue"]
    shown = cli("turns", "ls", *where).out
    assert "s-failed" in shown
    assert "\x1b[31m" not in shown
    assert cli("turns", "ls", *where[:2], "--tenant", f"{tenant}-other").out == "No such turns.\n"
    assert cli("turns", "ls", "--failed", "--overdue", *where).code == 2


def test_failed_turns_are_tried_anew_and_dropped(url: str, tenant: str) -> None:
    asyncio.run(prepare(url, tenant))
    where = ("--store", url, "--tenant", tenant)
    assert cli("turns", "discard", "s-overdue", "t", *where).out == "discarded t (pending)\n"
    ran = cli("turns", "retry", "s-failed", "t", *where, "--json")
    assert ran.document == {"session": "s-failed", "turn": "t~2", "instead_of": "t"}
    assert asyncio.run(recovered(url, tenant)) == 1
    rows = cli("turns", "ls", *where, "--json").lines
    assert [(row["state"], row["turn"]) for row in rows] == [("failed", "t~2")]
    assert cli("turns", "discard", "s-failed", "t~2", *where).out == "discarded t~2 (failed)\n"
    assert cli("turns", "ls", *where).out == "No such turns.\n"
    gone = cli("turns", "retry", "s-failed", "nothing", *where)
    assert (gone.code, "has no failed turn 'nothing'" in gone.err) == (1, True)


def test_deliveries_are_among_them(url: str, tenant: str) -> None:
    """Turns of the tenant that belongs to this one, by the same ids and without naming it."""

    async def undelivered() -> None:
        async with opened(url, tenant) as store:
            await store.deliveries.accept_turn("d", "answer", input="bad", turn_id="m-1")
            for _ in range(2):
                await store.recover()
                store.setbacks.forget(store.deliveries.key("d"), "m-1")

    asyncio.run(undelivered())
    where = ("--store", url, "--tenant", tenant)
    (row,) = cli("turns", "ls", "--failed", *where, "--json").lines
    assert (row["session"], row["turn"], row["attempts"]) == ("d", "m-1", 2)
    assert cli("turns", "retry", "d", "m-1", *where, "--json").lines[0]["turn"] == "m-1~2"
    (row,) = cli("turns", "ls", *where, "--json").lines
    assert (row["state"], row["session"], row["turn"]) == ("overdue", "d", "m-1~2")
    assert cli("turns", "discard", "d", "m-1~2", *where, "--json").lines[0]["was"] == "pending"
