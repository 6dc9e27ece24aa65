"""Answers as lists."""

from __future__ import annotations

from holdfast.assistant.context import Context
from holdfast.assistant.contract import Retrieval
from holdfast.assistant.parts import Parts


class Bullets:
    """The documents' sentences as bullet points, each with its source."""

    def __init__(self, parts: Parts) -> None: ...

    async def answer(self, context: Context, retrieval: Retrieval) -> None:
        """See `Answer.answer`. ``mode`` tells that the documents have answered, so that the next question may refer to this one."""
        context.speaker.note(mode="extractive")
        lines = [f"- {one.quote} [{context.speaker.cite(one)}]" for one in retrieval.quotes or retrieval.passages]
        context.speaker.say("\n".join(lines))
