"""The assistant's voice in one turn: what is streamed is what is committed."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from holdfast.assistant.masking import Known, Masker, unfinished
from holdfast.assistant.untrusted import MARK
from holdfast.sessions.message import Citation, Message, ToolCall
from holdfast.turns.turn import Turn

_UNFINISHED: Final = re.compile(r"(?:\+?\d[\d \-]*|[A-Za-z0-9_.+@\-]+)\Z", re.ASCII)
_HELD: Final = 80
"""Characters that are held back at most while a number or a word may go on."""


class Speaker:
    """Streams the reply piece by piece, masked, and commits it once.

    The tokens emitted, joined, are exactly the text of the reply.
    """

    def __init__(self, turn: Turn, masker: Masker) -> None:
        self._turn = turn
        self._masker = masker
        self._parts: list[str] = []
        self._held = ""
        self._citations: list[Citation] = []
        self._calls: list[ToolCall] = []
        self._metadata: dict[str, Any] = {}
        self._known: Known | None = None

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._parts)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Sources that were cited so far; ``[1]`` in the text is the first."""
        return tuple(self._citations)

    def say(self, text: str) -> None:
        """A whole piece of text."""
        self.flush()
        self._known = None  # the state may have changed since
        self._emit(text)

    def stream(self, piece: str) -> None:
        """A piece that may break off in the middle of a word, a number, or a value that is known to be sensitive (which may have
        many words); the rest comes with the next one, or `flush`."""
        text = self._held + piece
        word = _UNFINISHED.search(text, max(0, len(text) - _HELD))
        cut = min(word.start() if word else len(text), unfinished(text, self._values()))
        self._held = text[cut:]
        self._emit(text[:cut])

    def flush(self) -> None:
        """Ends what was streamed."""
        held, self._held = self._held, ""
        self._emit(held)

    def paragraph(self) -> None:
        """An empty line, unless nothing was said yet."""
        self.flush()
        self._known = None
        if self._parts:
            self._emit("\n\n")

    def cite(self, citation: Citation) -> int:
        """The number to write in brackets: the same source has the same one."""
        if citation not in self._citations:
            self._citations.append(citation)
        return self._citations.index(citation) + 1

    def called(self, call: ToolCall) -> None:
        """A tool that was called on the way to the reply; its arguments are kept as they are given here."""
        self._calls.append(call)

    def note(self, **metadata: Any) -> None:
        """Metadata of the reply's message."""
        self._metadata.update(metadata)

    def commit(self) -> None:
        """Makes what was said the turn's reply."""
        self.flush()
        if self._citations:
            self._metadata[MARK] = "document"  # it quotes them, or was written from them
            self._turn.emit("citations", citations=[msgspec.to_builtins(citation) for citation in self._citations])
        calls = tuple(self._calls)
        self._turn.append(
            Message("assistant", self.text, citations=self.citations, tool_calls=calls, metadata=self._metadata)
        )

    def _emit(self, text: str) -> None:
        if not text:
            return
        text = self._masker.replaced(text, self._values())
        self._parts.append(text)
        self._turn.emit("token", text=text)

    def _values(self) -> Known:
        if self._known is None:
            self._known = self._masker.known(self._turn.state, self._turn.text)
        return self._known
