"""Understanding by the model: commands, checked against the flows; asked only where cheaper parts are not sure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast import Turn, open_store
from holdfast.assistant.contract import (
    AskDocuments,
    CancelFlow,
    Entity,
    HandOver,
    SetSlot,
    StartFlow,
    Understanding,
)
from holdfast.assistant.masking import Masker
from holdfast.assistant.models.asking import Asker
from holdfast.assistant.models.budget import KEY, Spending
from holdfast.assistant.understanding_by_model import SCHEMA, FlowInfo, ModelUnderstanding, SlotInfo
from holdfast.config import BudgetSection, Language, ModelSection
from holdfast.testing import ScriptedAnswer, ScriptedModel

FLOWS = [
    FlowInfo(
        "book_trip",
        "book a trip",
        "Books a seat.",
        (
            SlotInfo("place", "text"),
            SlotInfo("people", "number", called="travellers"),
            SlotInfo("class", "choice", values=("first", "second")),
            SlotInfo("meal", "yes_no"),
            SlotInfo("phone", "phone"),
        ),
    ),
    FlowInfo("refund", "a refund", slots=(SlotInfo("number", "text"),)),
    FlowInfo("inner", "not for users", startable=False),
]


class Flows:
    """`FlowCatalogue` of a trip and a refund."""

    def __init__(self, running: str = "", asking: str = "") -> None:
        self._running, self._asking = running, asking

    def flows(self, language: Language) -> Sequence[FlowInfo]:
        return FLOWS

    def running(self, turn: Turn) -> str:
        return self._running

    def asking(self, turn: Turn) -> str:
        return self._asking


def said(command: str, **fields: Any) -> dict[str, Any]:
    return {"command": command, "flow": "", "slot": "", "value": "", "text": "", **fields}


def part_of(
    answer: Any, running: str = "", asking: str = "", **budget: Any
) -> tuple[ModelUnderstanding, ScriptedModel]:
    scripted = answer if isinstance(answer, ScriptedAnswer) else ScriptedAnswer(structured={"commands": answer})
    model = ScriptedModel([scripted])
    asker = Asker(model, ModelSection(), Spending(BudgetSection(**budget)))
    return ModelUnderstanding(asker, Flows(running, asking), Masker({"phone": "phone"}), below=0.8), model


async def understood(
    part: ModelUnderstanding, before: Understanding | None, text: str = ""
) -> tuple[Understanding, Any]:
    found: list[Understanding] = []
    async with open_store("memory:") as store:

        async def handler(turn: Turn) -> None:
            found.append(await part.understand(turn, before))

        await store.run_turn("s", handler, input=text or (before.text if before else ""))
        return found[0], await store.get("s")


BEFORE = Understanding("a ticket to Rome for two, first class, call 13800001234", "en")


async def test_words_become_commands() -> None:
    part, model = part_of(
        [
            said("start_flow", flow="book_trip"),
            said("set_slot", slot="place", value="Rome"),
            said("set_slot", slot="people", value="2"),
            said("set_slot", slot="class", value="First"),
            said("set_slot", slot="meal", value="yes"),
            said("set_slot", slot="phone", value="138****1234"),
            said("answer", text="What does a ticket to Rome cost?"),
            said("hand_over", text="wants a person"),
        ]
    )
    result, state = await understood(part, BEFORE)
    slots = {"place": "Rome", "people": 2, "class": "first", "meal": True, "phone": "13800001234"}
    assert result.commands == (
        StartFlow("book_trip", slots),
        AskDocuments("What does a ticket to Rome cost?"),
        HandOver("wants a person"),
    )
    assert (result.text, result.language) == (BEFORE.text, "en")
    request = model.requests[0]
    assert request.schema == SCHEMA and "book_trip: book a trip. Books a seat" in request.system
    assert "inner" not in request.system
    assert "13800001234" not in str(request) and "138****1234" in request.user
    assert state[KEY]["tokens"] > 0


async def test_slots_of_the_running_flow_are_set_and_it_is_cancelled() -> None:
    part, model = part_of([said("set_slot", slot="people", value="3"), said("cancel")], running="book_trip")
    result, _ = await understood(part, Understanding("three of us; no, drop it", "en"))
    assert result.commands == (SetSlot("people", 3), CancelFlow())
    assert "running flow: book_trip" in model.requests[0].system


@pytest.mark.parametrize(
    "command",
    [
        said("start_flow", flow="wipe_disk"),
        said("start_flow", flow="inner"),
        said("start_flow"),
        said("set_slot", slot="place", value="Rome"),  # nothing runs
        said("set_slot", slot="nothing", value="x"),
        said("cancel"),
        said("format_disk"),
    ],
    ids=str,
)
async def test_what_no_flow_knows_is_dropped(command: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    part, _ = part_of([command])
    result, _ = await understood(part, BEFORE)
    assert result == BEFORE and "the model's command is none" in caplog.text


@pytest.mark.parametrize(
    ("slot", "value"),
    [
        ("people", "many"),
        ("people", "1e999"),
        ("class", "third"),
        ("meal", "maybe"),
        ("phone", "199****9999"),
        ("place", ""),
    ],
)
async def test_a_value_that_does_not_fit_is_dropped(slot: str, value: str) -> None:
    part, _ = part_of([said("set_slot", slot=slot, value=value)], running="book_trip")
    assert (await understood(part, BEFORE))[0].commands == ()


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedAnswer("I would rather talk."),
        ScriptedAnswer('{"commands": "all"}'),
        ScriptedAnswer('{"commands": [{"flow": 3}]}'),
        ScriptedAnswer("[" * 5000),
        ScriptedAnswer('{"commands": '),
        ScriptedAnswer(error="timeout"),
        ScriptedAnswer(error="garbled"),
        ScriptedAnswer(structured={"commands": []}),
    ],
    ids=lambda answer: str(answer.text or answer.error or "none")[:30],
)
async def test_a_model_that_fails_changes_nothing(answer: ScriptedAnswer) -> None:
    part, _ = part_of(answer)
    assert (await understood(part, BEFORE))[0] == BEFORE


async def test_json_in_a_fence_is_read() -> None:
    text = json.dumps({"commands": [said("answer", text="Why?")]})
    part, _ = part_of(ScriptedAnswer(f"```json\n{text}\n```"))
    assert (await understood(part, BEFORE))[0].commands == (AskDocuments("Why?"),)


async def test_over_its_budget_it_is_not_asked() -> None:
    part, model = part_of([said("cancel")], session_tokens=1)
    async with open_store("memory:") as store:
        await store.set("s", {KEY: {"since": 0, "tokens": 5}})

        async def handler(turn: Turn) -> None:
            part._asker.spending.count(turn, 5)
            assert await part.understand(turn, BEFORE) == BEFORE

        await store.run_turn("s", handler, input="hello")
    assert model.requests == []


@pytest.mark.parametrize(
    ("before", "running", "asking", "asked"),
    [
        (BEFORE, "", "", True),
        (Understanding("x", "en", flow="refund"), "", "", False),
        (Understanding("x", "en", intent="refund", confidence=0.95), "", "", False),
        (Understanding("x", "en", intent="refund", confidence=0.4, flow="refund"), "", "", True),
        (Understanding("2", "en", entities=(Entity("number", 2),)), "book_trip", "people", False),
        (Understanding("2", "en", entities=(Entity("number", 2),)), "book_trip", "place", True),
        (Understanding("2", "en", entities=(Entity("number", 2),)), "", "", True),
        (
            Understanding("for 2? why?", "en", frozenset({"question"}), entities=(Entity("number", 2),)),
            "book_trip",
            "people",
            True,
        ),
        (Understanding("yes", "en", frozenset({"affirm"})), "book_trip", "", False),
        (Understanding("no, wrong", "en", frozenset({"deny", "correct"})), "book_trip", "", True),
        (Understanding("  ", "en"), "", "", False),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_it_is_asked_where_those_before_are_not_sure(
    before: Understanding, running: str, asking: str, asked: bool
) -> None:
    part, model = part_of([], running, asking)
    await understood(part, before, before.text)
    assert bool(model.requests) is asked


async def test_another_attempt_asks_no_model() -> None:
    part, model = part_of([said("answer", text="Why?")])
    dies, found = [True], []

    async def handler(turn: Turn) -> None:
        found.append(await part.understand(turn, BEFORE))
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    async with open_store("memory:") as store:
        with pytest.raises(RuntimeError):
            await store.run_turn("s", handler, input="why", turn_id="t")
        await store.run_turn("s", handler, input="why", turn_id="t")
    assert found[0] == found[1] and len(model.requests) == 1


async def test_it_is_chosen_in_the_config_and_starts_flows(talk: Any) -> None:
    model = ScriptedModel([ScriptedAnswer(structured={"commands": [said("start_flow", flow="order_status")]})])
    chat = await talk(model=model, assistant={"understanding": ["rules", "model"]})
    reply = await chat.say("I wonder what became of the thing that I bought")
    assert "mobile number" in reply
    assert "order_status: order status" in model.requests[0].system


async def test_no_half_of_a_number_is_left_where_the_words_are_cut() -> None:
    text = "word " * 798 + "13800001234"
    part, model = part_of([])
    await understood(part, Understanding(text[:4000], "en"), text)
    assert "word 138****123" in str(model.requests)
    assert "1380000" not in str(model.requests)
