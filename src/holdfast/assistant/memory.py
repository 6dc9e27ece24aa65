"""What a model sees of the conversation so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Prompt
from holdfast.assistant.masking import Known, Masker
from holdfast.assistant.models.tokens import cut_to, estimated
from holdfast.assistant.summaries import Summaries, Summary, summary_of
from holdfast.assistant.untrusted import fenced, separated
from holdfast.sessions.message import Message
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Turn

_STRANGE: Final = re.compile(r"[^A-Za-z0-9_ -]")
_PER_MESSAGE: Final = 4
_LARGEST_SHARE: Final = 0.5
"""Of the tokens, what one message may take: a longer one is cut in its middle."""
_RESULT_TOKENS: Final = 120
_LEAST: Final = 16
"""Tokens below which a cut message says nothing any more."""


class RecentMemory:
    """`Memory`: a summary of what is older, then the last messages that fit, all with sensitive values masked.

    What tools returned stands behind the user's words that they were called for, in brief. Summaries are made off the turns' way,
    see `after`.
    """

    def __init__(self, masker: Masker, summaries: Summaries | None = None) -> None:
        self._masker = masker
        self._summaries = summaries

    async def history(self, turn: Turn, *, tokens: int) -> Sequence[Prompt]:
        """See `Memory.history`."""
        known = self._masker.known(turn.state, turn.text)
        summary = summary_of(turn.state)
        found: list[Prompt] = []
        left = tokens
        if summary is not None and tokens > 0:
            shown = summary_prompt(Summary(cut_to(summary.text, int(tokens * _LARGEST_SHARE)), summary.upto))
            left -= estimated(shown) + _PER_MESSAGE
        first = turn.session.total - len(turn.messages)
        fresh = turn.messages[max(0, (summary.upto if summary else 0) - first) :]
        most = int(tokens * _LARGEST_SHARE)
        for role, text, results in reversed(list(self._shown(fresh, known))):
            content = _whole(text, results, min(most, max(0, left - _PER_MESSAGE)) if not found else most)
            cost = estimated(content) + _PER_MESSAGE
            if cost > left or left < _LEAST:
                break
            left -= cost
            found.append(Prompt(role, content))
        if summary is not None and tokens > 0:
            found.append(Prompt("user", shown))
        return found[::-1]

    async def after(self, store: TurnStore, session_id: str) -> None:
        """See `Assistant.after`."""
        if self._summaries is not None:
            await self._summaries.after(store, session_id)

    def _shown(self, messages: Sequence[Message], known: Known) -> Iterator[tuple[Any, str, list[str]]]:
        """Role and masked text of each message, and the results of tools that came behind the user's words."""
        asked = ""
        results: list[str] = []
        for message in messages:
            text = self._masker.replaced(message.content, known, detect=message.role != "assistant")
            if message.role == "tool":
                results.append(tool_note(message, text))
                continue
            if asked or results:
                yield "user", asked, results
                asked, results = "", []
            if message.role == "user":
                asked = separated(text)
            elif message.role == "assistant" and text:
                yield "assistant", separated(text), []
        if asked or results:
            yield "user", asked, results


def _whole(text: str, results: Sequence[str], most: int) -> str:
    """The words, cut to what the results leave of so many tokens; of those, as many as fit, the last ones first. No result is
    cut: its fence would be."""
    kept: list[str] = []
    left = most
    for result in reversed(results):
        left -= estimated(result) + 1
        if left < 0 or (text and left < _LEAST):
            break
        kept.append(result)
    used = sum(estimated(result) + 1 for result in kept)
    return "\n\n".join(part for part in (cut_to(text, max(0, most - used)) if text else "", *reversed(kept)) if part)


def summary_prompt(summary: Summary) -> str:
    """A summary as a model is told of it."""
    return f"Summary of the conversation before the messages that follow:\n{fenced(summary.text, 'conversation')}"


def tool_note(message: Message, text: str) -> str:
    """What a tool returned, in brief."""
    name = _STRANGE.sub("_", str(message.metadata.get("tool", "a tool")))[:64]
    return f"Result of {name}:\n{fenced(cut_to(text, _RESULT_TOKENS), 'tool')}"


def brief(result: Any) -> str:
    """A tool's result as text."""
    return msgspec.json.encode(result, enc_hook=str).decode(errors="replace")
