"""Follow-up questions rewritten by a model, beside the rule."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from holdfast.errors import ModelError
from holdfast.knowledge.query import parse, query_from_turns
from holdfast.knowledge.rewriting import LONGEST, Rewriter

TURNS = ["How much does express delivery to Germany cost?", "and to Japan?"]


class Model:
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.prompts: list[Sequence[Mapping[str, str]]] = []

    async def __call__(self, prompts: Sequence[Mapping[str, str]]) -> str:
        self.prompts.append(prompts)
        return self.answer


async def test_a_model_makes_the_question_stand_alone() -> None:
    model = Model(' "How much does express\ndelivery to Japan cost?" ')
    found = await Rewriter(model).rewrite(TURNS)
    assert found.question == "How much does express delivery to Japan cost?"
    assert found.failed == ""
    assert found.query == f"{found.question}\n{TURNS[0]}"
    shown = model.prompts[0][1]["content"]
    assert all(turn in shown for turn in TURNS)


async def test_the_users_own_words_are_never_lost() -> None:
    turns = ["How long is the warranty?", "and for the red WH5 headphones with leather case?"]
    found = await Rewriter(Model("How long is the warranty of red headphones with a leather case?")).rewrite(turns)
    assert found.question
    rule, fused = parse(query_from_turns(turns)), parse(found.query)
    assert set(rule.terms) <= set(fused.terms)
    assert rule.asked <= fused.asked
    assert {"wh5", "warranty"} <= fused.asked


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "no question"),
        ("  \n", "no question"),
        ("?!", "no question"),
        ("Japan is far, so it costs more. " * (LONGEST // 20), "no question"),
        ("Who wrote Hamlet?", "another question"),
        (None, "no question"),
    ],
)
async def test_what_is_no_rewritten_question_leaves_the_rule(answer: str, says: str) -> None:
    found = await Rewriter(Model(answer)).rewrite(TURNS)
    assert found.query == query_from_turns(TURNS)
    assert found.question == ""
    assert says in found.failed


async def test_a_model_that_fails_or_is_slow_leaves_the_rule() -> None:
    async def fails(prompts: Sequence[Mapping[str, str]]) -> str:
        raise ModelError("the model cannot be reached", "unreachable")

    async def hangs(prompts: Sequence[Mapping[str, str]]) -> str:
        await asyncio.Event().wait()
        return ""

    failed = await Rewriter(fails).rewrite(TURNS)
    assert (failed.query, failed.failed) == (
        query_from_turns(TURNS),
        "the question was not rewritten: the model cannot be reached",
    )
    late = await Rewriter(hangs, timeout=0.01).rewrite(TURNS)
    assert (late.query, late.failed) == (query_from_turns(TURNS), "no rewritten question within 0.01 s")


async def test_a_first_question_costs_no_call() -> None:
    model = Model("x")
    assert (await Rewriter(model).rewrite(["  ", "How long is the warranty?"])).query == "How long is the warranty?"
    assert model.prompts == []
    assert (await Rewriter().rewrite(TURNS)).query == query_from_turns(TURNS)
    assert (await Rewriter(model).rewrite([])).query == ""


async def test_in_chinese() -> None:
    turns = ["快递到德国要多少钱？", "那日本呢？"]
    found = await Rewriter(Model("快递到日本要多少钱？")).rewrite(turns)
    assert found.query == "快递到日本要多少钱？\n快递到德国要多少钱？"
