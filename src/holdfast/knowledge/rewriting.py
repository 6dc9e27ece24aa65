"""A follow-up question made to stand alone: by the rule, or by a model whose words come beside the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from holdfast.errors import HoldfastError
from holdfast.knowledge.query import parse, query_from_turns
from holdfast.knowledge.terms import query_terms

LONGEST: Final = 300
"""Characters of a rewritten question; a model that writes more answers instead of rewriting."""

KEPT: Final = 0.5
"""Share of the user's own informative terms that a rewritten question may lose; one that loses more is about something else."""

_TURNS: Final = 4
_TURN: Final = 500

_TASK: Final = """\
Rewrite the user's last question so that it can be understood without the conversation. Put in what "it", "that" or a left-out \
part refers to; change nothing else. If it stands alone already, repeat it. Keep its language. Do not answer it. Write the \
question only, on one line.
把用户的最后一个问题改写成脱离对话也能看懂的问题：补全代词和省略的内容，其余不变，语言不变；已经完整的就原样重复。不要回答，只写问题，一行。"""


class Complete(Protocol):
    """A model, as far as a rewriter needs one."""

    async def __call__(self, prompts: Sequence[Mapping[str, str]]) -> str:
        """The whole answer to messages of ``role`` (``system`` or ``user``) and ``content``. Any `HoldfastError` is a failure."""
        ...


class Rewritten(msgspec.Struct, frozen=True):
    """A query, and how it came about.

    Attributes:
        query: for `Knowledge.retrieve`.
        question: what the model made of the user's words; empty where the rule made the query.
        failed: why a model's words were not used, for a trace; empty where they were, or none was asked.
    """

    query: str
    question: str = ""
    failed: str = ""


class Rewriter:
    """Makes queries of the user's turns; without ``complete`` by the rule alone (`query_from_turns`).

    ``timeout``: seconds that a question waits for the model. What may be shown to a model (masking) is for ``complete`` to see to.
    """

    def __init__(self, complete: Complete | None = None, *, timeout: float = 3.0) -> None:
        self._complete = complete
        self._timeout = timeout

    async def rewrite(self, user_texts: Sequence[str]) -> Rewritten:
        """A query from the user's turns, oldest first. A first question is never rewritten; any failure leaves the rule's query."""
        texts = [text for text in (" ".join(text.split()) for text in user_texts) if text]
        rule = query_from_turns(texts)
        if self._complete is None or len(texts) < 2:
            return Rewritten(rule)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._complete(_prompts(texts))
        except TimeoutError:
            return Rewritten(rule, failed=f"no rewritten question within {self._timeout:g} s")
        except HoldfastError as error:
            return Rewritten(rule, failed=f"the question was not rewritten: {error}")
        question = " ".join(answer.split()).strip("\"'“”「」 ") if isinstance(answer, str) else ""
        if not question or len(question) > LONGEST or not query_terms(question):
            return Rewritten(rule, failed="the model wrote no question")
        own, _, former = rule.partition("\n")
        lost = _lost(own, question)
        if len(lost) > KEPT * len(parse(own).asked):
            return Rewritten(rule, failed="the model wrote another question")
        first = f"{question} {own}" if lost else question
        return Rewritten(f"{first}\n{former}", question)


def _lost(own: str, question: str) -> frozenset[str]:
    """Informative terms of the user's words that the rewritten question has not."""
    return parse(own).asked - parse(question).asked


def _prompts(texts: Sequence[str]) -> list[dict[str, str]]:
    earlier = "\n".join(f"- {text[:_TURN]}" for text in texts[-1 - _TURNS : -1])
    asked = f"Earlier questions / 之前的问题:\n{earlier}\n\nLast question / 最后一个问题:\n{texts[-1][:_TURN]}"
    return [{"role": "system", "content": _TASK}, {"role": "user", "content": asked}]
