"""What a model sees of the conversation: the last few messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.assistant.contract import Prompt
from holdfast.assistant.models.tokens import estimated
from holdfast.assistant.parts import Parts
from holdfast.turns.turn import Turn

MOST: Final = 6
"""Messages."""


class LastMessages:
    """The last six messages of user and assistant, as far as the budget of tokens goes."""

    def __init__(self, parts: Parts) -> None:
        self._masker = parts.masker

    async def history(self, turn: Turn, *, tokens: int) -> Sequence[Prompt]:
        """See `Memory.history`. What a model sees leaves the server: sensitive values are masked."""
        known = self._masker.known(turn.state, turn.text)
        found: list[Prompt] = []
        for message in reversed(turn.messages):
            if message.role not in ("user", "assistant"):
                continue
            content = self._masker.replaced(message.content, known)
            tokens -= estimated(content)
            if tokens < 0 or len(found) == MOST:
                break
            found.append(Prompt("user" if message.role == "user" else "assistant", content))
        return found[::-1]
