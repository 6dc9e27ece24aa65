"""The log by page: whole, in order, and not more than was asked for."""

from __future__ import annotations

import pytest

from holdfast import Message, Store
from holdfast.errors import LimitExceeded, SessionNotFound


async def filled(store: Store, count: int) -> None:
    await store.update("s", {}, append=[Message.user(str(number)) for number in range(count)])


async def test_the_last_page_is_the_default(store: Store) -> None:
    await filled(store, 250)
    page = await store.read_log("s")
    assert (page.start, page.total, len(page.messages)) == (150, 250, 100)
    assert [page.messages[0].content, page.messages[-1].content] == ["150", "249"]


@pytest.mark.parametrize(
    ("start", "limit", "first", "count"),
    [(0, 10, 0, 10), (245, 10, 245, 5), (250, 10, 0, 0), (999, 1, 0, 0), (-5, 3, 0, 3)],
)
async def test_any_page(store: Store, start: int, limit: int, first: int, count: int) -> None:
    await filled(store, 250)
    page = await store.read_log("s", start=start, limit=limit)
    assert [message.content for message in page.messages] == [str(first + n) for n in range(count)]
    assert page.total == 250


async def test_all_messages_one_after_another(store: Store) -> None:
    await filled(store, 250)
    assert [message.content async for message in store.messages("s", page=33)] == [str(n) for n in range(250)]
    assert [message.content async for message in store.messages("s", start=240)] == [str(n) for n in range(240, 250)]


async def test_an_empty_log_and_a_missing_session_differ(store: Store) -> None:
    await store.set("s", {"a": 1})
    assert (await store.read_log("s")).messages == []
    assert [message async for message in store.messages("s")] == []
    with pytest.raises(SessionNotFound):
        await store.read_log("missing")
    with pytest.raises(SessionNotFound):
        _ = [message async for message in store.messages("missing")]


async def test_a_page_of_nothing_is_refused(store: Store) -> None:
    with pytest.raises(LimitExceeded):
        await store.read_log("s", limit=0)


async def test_a_load_brings_the_tail_and_the_total(store: Store) -> None:
    await filled(store, 50)
    session = await store.load("s")
    assert session is not None
    assert (len(session.messages), session.total) == (20, 50)
    assert session.messages[-1].content == "49"
    assert [message.content for message in session.messages[:2]] == ["30", "31"]
