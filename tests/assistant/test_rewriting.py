"""A follow-up question that a model rewrites before it is looked up: journaled, masked, and never instead of the user's words."""

from __future__ import annotations

from typing import Any

import pytest
from talking import ShelfOfTwo

from holdfast.testing import ScriptedModel

BY_MODEL = {"rewrite": "model"}


def scripted(question: str) -> ScriptedModel:
    """Rewrites every question to this one; what it is asked as an answer it answers."""
    return ScriptedModel(
        {"Earlier questions": question, ".": "Shipping takes two working days [1]. I looked it up for you."}
    )


async def test_a_follow_up_is_looked_up_as_the_model_wrote_it(talk: Any) -> None:
    model = scripted("How long does shipping of returns take?")
    shelf = ShelfOfTwo()
    chat = await talk(knowledge=shelf, model=model, knowledge_settings=BY_MODEL)
    await chat.say("What about returns?")
    assert not any("Earlier questions" in request.user for request in model.requests)  # a first question stands alone
    await chat.say("and shipping of that, for 13800001234?", secret="13800001234")
    asked = [request for request in model.requests if "Earlier questions" in request.user]
    assert len(asked) == 1 and "What about returns?" in asked[0].user
    assert "13800001234" not in asked[0].user and "138****1234" in asked[0].user
    assert shelf.queries[-1].startswith("How long does shipping of returns take?")


@pytest.mark.parametrize("question", ["", "Who wrote Hamlet, and where was it first played on a stage?"])
async def test_words_that_are_no_such_question_are_not_used(talk: Any, question: str) -> None:
    shelf = ShelfOfTwo()
    chat = await talk(knowledge=shelf, model=scripted(question), knowledge_settings=BY_MODEL)
    await chat.say("What about returns?")
    await chat.say("and what does shipping of those cost?")
    assert "Hamlet" not in shelf.queries[-1]
    assert shelf.queries[-1].startswith("and what does shipping of those cost?")


async def test_another_attempt_does_not_ask_the_model_again(talk: Any) -> None:
    model = scripted("How long does shipping of returns take?")
    shelf = ShelfOfTwo()
    chat = await talk(knowledge=shelf, model=model, knowledge_settings=BY_MODEL)
    await chat.say("What about returns?")
    dies = [True]

    async def dying(turn: Any) -> None:
        await chat.assistant(turn)
        if dies:
            dies.clear()
            raise RuntimeError("the node dies before the commit")

    store = chat.stores[0]
    with pytest.raises(RuntimeError):
        await store.run_turn("s-1", dying, input="and how long does that take?", turn_id="t-1")
    await store.run_turn("s-1", dying, input="and how long does that take?", turn_id="t-1")
    assert sum("Earlier questions" in request.user for request in model.requests) == 1
