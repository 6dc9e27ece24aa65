"""A conversation given to a person: on every backend, with two nodes, whoever speaks when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Store
from holdfast.assistant.assistant import Assistant
from holdfast.assistant.building import build_assistant
from holdfast.assistant.lexicon import SIGNALS
from holdfast.assistant.persons import HANDLER, Persons
from holdfast.assistant.texts import Texts
from holdfast.assistant.waiting import KEY, WaitingList
from holdfast.config import load_config
from holdfast.errors import InvalidInput, NotHandedOver, SessionNotFound, TurnMismatch
from holdfast.turns.tenants import HANDOVERS
from store_nodes import Nodes


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HOLDFAST_STORE"):
        monkeypatch.delenv(name, raising=False)


async def assistant_of(**handover: Any) -> Assistant:
    return await build_assistant(
        load_config(overrides={"knowledge": {"index": "", "folders": []}, "handover": handover})
    )


class Node:
    """A store with its assistant, and what persons do there."""

    def __init__(self, store: Store, assistant: Assistant) -> None:
        self.store = store
        self.persons = Persons(store, Texts({}))

        async def handle(turn: Any) -> None:
            if turn.input is not None and turn.input.role != "user":
                await self.persons.handle(turn)
            else:
                await assistant(turn)

        store.handlers.register(HANDLER, handle)

    async def say(self, text: str, session: str = "s", turn_id: str | None = None) -> str:
        return (await self.store.run_turn(session, HANDLER, input=text, turn_id=turn_id)).reply

    async def log(self, session: str = "s") -> list[str]:
        return [f"{one.role}: {one.content}".strip() async for one in self.store.messages(session)]

    async def waits(self) -> list[str]:
        return [one.id for one in (await self.persons.waiting())[0]]


@pytest.fixture
async def pair(nodes: Nodes) -> AsyncIterator[list[Node]]:
    assistant = await assistant_of(most=3)
    yield [Node(await nodes.open(), assistant), Node(await nodes.open(), assistant)]
    await assistant.aclose()


async def test_handed_over_answered_and_given_back(pair: list[Node]) -> None:
    one, other = pair
    assert await one.say("where is my order?") == "To verify that it is you: which mobile number did you order with?"
    assert "person" in await other.say("I want to talk to a real person")
    assert await one.waits() == await other.waits() == ["s"]
    assert await one.say("hello?") == await other.say("is anybody there?") == ""
    outcome = await other.persons.reply("s", "Hello, this is Li.", name="Li", turn_id="p-1")
    again = await one.persons.reply("s", "Hello, this is Li.", name="Li", turn_id="p-1")
    assert again.replayed
    assert again.reply == outcome.reply == "Hello, this is Li."
    with pytest.raises(TurnMismatch):
        await one.persons.reply("s", "something else", turn_id="p-1")
    said = (await one.store.read_log("s")).messages[-1]
    assert (said.role, said.metadata) == ("assistant", {"by": "person", "name": "Li"})
    assert await one.say("thank you") == ""
    assert (await one.persons.end("s", turn_id="p-2")).reply == "You are talking to the assistant again."
    assert (await other.persons.end("s", turn_id="p-2")).replayed
    assert await other.waits() == []
    assert KEY not in await one.store.get("s")
    # the flow that was interrupted goes on
    assert "no orders for 139****2222" in await other.say("13911112222")
    assert [one for one in await one.log() if not one.startswith(("assistant", "system"))] == [
        "user: where is my order?",
        "user: I want to talk to a real person",
        "user: hello?",
        "user: is anybody there?",
        "user: thank you",
        "user: 13911112222",
    ]


async def test_refused(pair: list[Node]) -> None:
    one, _ = pair
    with pytest.raises(SessionNotFound):
        await one.persons.reply("nobody", "hi")
    await one.say("hi")
    with pytest.raises(NotHandedOver):
        await one.persons.reply("s", "hi")
    with pytest.raises(NotHandedOver):
        await one.persons.end("s")
    await one.say("人工客服")
    with pytest.raises(InvalidInput):
        await one.persons.reply("s", "  ")
    assert (await one.store.read_log("s")).total == 4


async def test_persons_and_user_at_once(pair: list[Node]) -> None:
    one, other = pair
    await one.say("转人工")
    words = [f"word {number}" for number in range(8)]
    await asyncio.gather(
        *[(one, other)[number % 2].persons.reply("s", text) for number, text in enumerate(words)],
        *[(other, one)[number % 2].say(f"user {number}") for number in range(4)],
    )
    log = await one.log()
    assert sorted(line for line in log if line.startswith("assistant: word")) == [
        f"assistant: {word}" for word in words
    ]
    assert sorted(line for line in log if line.startswith("user: user")) == [
        f"user: user {number}" for number in range(4)
    ]
    assert len(log) == 2 + 8 + 2 * 4


async def test_the_list_is_bounded_ordered_and_paged(pair: list[Node]) -> None:
    one, other = pair
    for session in ("a", "b", "c"):
        await one.say("转人工", session)
    assert (
        await other.say("转人工", "d") == "抱歉，现在排队等候人工的人较多，暂时无法转接。您可以稍后再试，或者继续问我。"
    )
    assert await other.say("你好", "d")  # the assistant goes on
    assert await other.waits() == ["a", "b", "c"]
    page, cursor = await other.persons.waiting(limit=2)
    assert [session.id for session in page] == ["a", "b"]
    rest, end = await one.persons.waiting(limit=2, cursor=cursor)
    assert [session.id for session in rest] == ["c"]
    assert end == ""
    await one.persons.end("b")
    assert "人工" in await other.say("转人工", "d")
    assert await one.waits() == ["a", "c", "d"]
    assert sorted([session async for session in one.store.scan()]) == ["a", "b", "c", "d"]


async def test_stale_lines_are_dropped(pair: list[Node]) -> None:
    one, other = pair
    kept = WaitingList(one.store.beside(HANDOVERS), one.store)
    await one.say("转人工", "real")
    old = {"since": time.time() - 7200, "reason": "", "turn": "t"}
    young = {"since": time.time(), "reason": "", "turn": "t"}
    await one.store.beside(HANDOVERS).update("waiting", {"gone": old, "not yet": young})
    assert await other.waits() == ["real"]
    lines = await one.store.beside(HANDOVERS).get("waiting")
    assert set(lines) == {"real", "not yet"}
    line = lines["real"]
    await kept.leave("real", {**line, "turn": "another"})
    assert await one.waits() == ["real"]
    await one.store.beside(HANDOVERS).delete("waiting")  # lost: the user's next message brings it back
    assert await one.waits() == []
    await other.say("hello?", "real")
    assert await one.waits() == ["real"]


@pytest.mark.parametrize(
    "words",
    [
        *("转人工", "我要转人工客服", "人工客服", "人工", "真人", "帮我找个真人", "请接人工", "转客服"),
        *(
            "talk to a human",
            "I want to speak to an agent",
            "can I talk to a real person?",
            "real person please",
            "agent",
        ),
    ],
)
def test_who_asks_for_a_person(words: str) -> None:
    assert SIGNALS["person"].match(words.lower())


@pytest.mark.parametrize(
    "words",
    [
        *("你是真人吗", "不要转人工", "人工成本多少", "人工客服几点上班", "不用人工客服"),
        *("are you a real person?", "where is my order", "what person signs the parcel?"),
    ],
)
def test_who_does_not(words: str) -> None:
    assert not SIGNALS["person"].match(words)
