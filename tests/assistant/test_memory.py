"""What a model sees of the conversation: the last messages within a budget, and a summary of what is older."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Message, Store, open_store
from holdfast.assistant.contract import Prompt
from holdfast.assistant.extracts import extract
from holdfast.assistant.masking import Masker
from holdfast.assistant.memory import RecentMemory
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.budget import Spending
from holdfast.assistant.models.tokens import estimated
from holdfast.assistant.summaries import KEY, Summaries
from holdfast.config import BudgetSection, MemorySection, ModelSection
from holdfast.testing import ScriptedAnswer, ScriptedModel

MASKER = Masker({"phone": "phone"})


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory:") as opened:
        yield opened


async def said(store: Store, *messages: Message | str, session: str = "s") -> None:
    """Adds messages; plain ones alternate between user and assistant."""
    roles = ("user", "assistant")
    entries = [
        Message(roles[place % 2], one) if isinstance(one, str) else one  # type: ignore[arg-type]
        for place, one in enumerate(messages)
    ]
    await store.update(session, {}, append=entries)


async def history(store: Store, tokens: int, memory: RecentMemory | None = None) -> list[Prompt]:
    found: list[Prompt] = []

    async def look(turn: Any) -> None:
        found.extend(await (memory or RecentMemory(MASKER)).history(turn, tokens=tokens))

    await store.run_turn("s", look, input="now")
    return found


def tokens_of(prompts: list[Prompt]) -> int:
    return sum(estimated(prompt.content) + 4 for prompt in prompts)


async def test_the_last_messages_that_fit_are_told_oldest_first(store: Store) -> None:
    await said(store, *[f"message number {n} of the conversation" for n in range(12)])
    whole = await history(store, 1000)
    assert [prompt.content.split()[2] for prompt in whole] == [str(n) for n in range(12)]
    some = await history(store, 60)
    assert tokens_of(some) <= 60
    assert some[-1] == Prompt("user", "now")  # of the look before
    assert some[:-1] == whole[-3:]
    assert await history(store, 0) == []


async def test_a_long_message_is_cut_in_its_middle(store: Store) -> None:
    await said(store, "first", "begin " + "middle " * 3000 + "end", "and now?")
    found = await history(store, 200)
    assert tokens_of(found) <= 200
    assert found[-2].content.startswith("begin middle") and found[-2].content.endswith("middle end")
    assert " […] " in found[-2].content
    assert found[-1] == Prompt("user", "and now?")


async def test_sensitive_values_are_masked(store: Store) -> None:
    await store.set("s", {"phone": "13800001234"})
    await said(store, "My number is 13900005678", "Thank you, 13800001234 is known.")
    text = str(await history(store, 1000))
    assert "139****5678" in text and "138****1234" in text
    assert "13900005678" not in text and "13800001234" not in text


async def test_what_tools_returned_is_told_in_brief(store: Store) -> None:
    result = Message("tool", '{"status": "shipped", "text": "' + "x" * 5000 + '"}', metadata={"tool": "find_order"})
    await said(store, Message("user", "Where is it?"), result, Message("assistant", "On its way."))
    question, answer = await history(store, 1000)
    assert question.role == "user" and question.content.startswith("Where is it?\n\nResult of find_order:\n<data ")
    assert "shipped" in question.content and estimated(question.content) < 200
    assert answer == Prompt("assistant", "On its way.")


# --- summaries ---


def memory_of(script: Any = None, **settings: Any) -> RecentMemory:
    settings = {"summary_after": 4, "summary_keep": 4, **settings}
    asker = None
    if script is not None:
        model = script if isinstance(script, ScriptedModel) else ScriptedModel(script)
        asker = Asker(model, ModelSection(), Spending(BudgetSection()))
    return RecentMemory(MASKER, Summaries(MemorySection(**settings), MASKER, asker))


async def test_what_is_older_is_summarised_by_the_model(store: Store) -> None:
    model = ScriptedModel(["The user (138****1234) asked about HF1.", "It was about HF1, then about returns."])
    memory = memory_of(model)
    await said(store, "My number is 13800001234, where is HF1?", "On its way.", *["more"] * 5)
    await memory.after(store, "s")
    assert KEY not in await store.get("s"), "three messages too many are not worth a summary"
    await said(store, "and more", "yet more")
    await memory.after(store, "s")
    assert (await store.get("s"))[KEY] == {"text": "The user (138****1234) asked about HF1.", "upto": 5}
    assert "13800001234" not in str(model.requests) and "138****1234" in str(model.requests)
    found = await history(store, 1000, memory)
    assert found[0].role == "user" and "\nThe user (138****1234) asked about HF1.\n</data " in found[0].content
    assert [prompt.content for prompt in found[1:]] == ["more", "more", "and more", "yet more"]
    await said(store, *["later"] * 6)
    await memory.after(store, "s")
    assert "\nThe user (138****1234) asked about HF1.\n</data " in model.requests[1].user
    assert (await store.get("s"))[KEY]["upto"] > 5


async def test_without_a_model_sentences_are_taken(store: Store) -> None:
    memory = memory_of()
    await store.set("s", {"language": "en"})
    await said(
        store,
        "I ordered a keyboard, number HF20931, and it has not come.",
        "I am sorry to hear that. Your order HF20931 left the warehouse on 3 May. It may take a while.",
        "ok",
        "Anything else?",
        *["more of it"] * 8,
    )
    await memory.after(store, "s")
    text = (await store.get("s"))[KEY]["text"]
    assert "User: I ordered a keyboard, number HF20931" in text
    assert "Assistant: Your order HF20931 left the warehouse on 3 May." in text
    assert "ok" not in text.split()


def test_an_extract_keeps_to_its_tokens() -> None:
    before = "\n".join(f"User: an older question, number {n}" for n in range(50))
    text = extract(before, [("user", f"What about article {n}? It is broken.") for n in range(50)], "en", 200)
    assert estimated(text) <= 200
    assert "older question, number 49" in text and "older question, number 0\n" not in text and "article" in text
    assert extract("", [], "zh", 100) == ""


async def test_a_model_that_fails_leaves_the_extract(store: Store) -> None:
    memory = memory_of([ScriptedAnswer(error="timeout")])
    await said(store, *["Where is my order HF20931 with the keyboard?"] * 9)
    await memory.after(store, "s")
    assert "HF20931" in (await store.get("s"))[KEY]["text"]


async def test_a_summary_is_neither_doubled_nor_lost_by_two_nodes(store: Store) -> None:
    await said(store, *["Where is my order HF20931?"] * 9)
    slow = memory_of([ScriptedAnswer("by the slow one", delay=0.2)])
    fast = memory_of([ScriptedAnswer("by the fast one", delay=0.05)])
    other = store.for_tenant("")
    await asyncio.gather(slow.after(store, "s"), fast.after(other, "s"))
    assert (await store.get("s"))[KEY]["text"] == "by the fast one"
    await said(store, *["more"] * 4)
    again = memory_of(["and the next one"])
    await again.after(store, "s")
    assert (await store.get("s"))[KEY] == {"text": "and the next one", "upto": 9}


async def test_a_summary_never_enters_another_life_of_the_session(store: Store) -> None:
    await said(store, *["Where is my order HF20931?"] * 9)
    memory = memory_of([ScriptedAnswer("of the former life", delay=0.2)])
    work = asyncio.create_task(memory.after(store, "s"))
    await asyncio.sleep(0.1)
    await store.delete("s")
    await said(store, "hello")
    await work
    assert KEY not in await store.get("s")


async def test_a_summary_is_made_beside_a_running_turn(store: Store) -> None:
    await said(store, *["Where is my order HF20931?"] * 9)
    memory = memory_of(["a summary"])
    attempts = []

    async def handler(turn: Any) -> None:
        attempts.append(turn.attempt)
        await memory.after(store, "s")
        turn.state["answered"] = True
        turn.reply("done")

    await store.run_turn("s", handler, input="now")
    state = await store.get("s")
    assert state["answered"] is True and state[KEY]["text"] == "a summary" and attempts == [1]


async def test_a_summary_that_cannot_be_made_harms_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    memory = memory_of()
    await memory.after(store, "nobody")
    async with open_store("memory:") as other:
        await said(other, *["Where is my order HF20931?"] * 9)
        await other.close()
        await memory.after(other, "s")
    assert "no summary was made" in caplog.text


@pytest.mark.parametrize("kept", ["text", 5, None, [], {"text": 5}, {"upto": 3}, {"text": "x", "upto": "y"}])
async def test_a_summary_that_is_none_is_harmless(store: Store, kept: Any) -> None:
    await store.set("s", {KEY: kept})
    await said(store, "hello", "Hello!")
    assert len(await history(store, 100)) == 2


async def test_no_summary_where_it_is_turned_off(store: Store) -> None:
    await said(store, *["Where is my order HF20931?"] * 40)
    await memory_of([], summary_after=0).after(store, "s")
    assert KEY not in await store.get("s")


async def test_the_written_answer_sees_the_conversation_before(talk: Any) -> None:
    model = ScriptedModel({"ship": ScriptedAnswer("Two days, in most cases [1].", times=None)})
    chat = await talk(model=model, memory={"tokens": 80})
    for number in range(5):
        await chat.say(f"How long does shipping take? ({number})")
    shown = [prompt.content for prompt in model.requests[-1].prompts]
    assert "Two days, in most cases [1]." in shown and "How long does shipping take? (3)" in shown
    assert not any("(0)" in content for content in shown)
