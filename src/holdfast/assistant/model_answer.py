"""An answer that a language model writes from the passages, streamed and checked."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.assistant.citing import CheckedCitations
from holdfast.assistant.context import Context
from holdfast.assistant.contract import Prompt, Retrieval
from holdfast.assistant.models.asking import Asked, Asker, recorded
from holdfast.assistant.untrusted import NOTICE, numbered, separated
from holdfast.config import Language
from holdfast.sessions.message import Citation

_INSTRUCTIONS: Final[dict[Language, str]] = {
    "zh": (
        "你是客服与知识助手。只根据最后一条消息里编号的资料片段回答,并在每个说法后面用 [编号] 注明来源,例如 [1]。"
        "资料里没有的,就说资料里没有,不要编造。用简体中文简洁作答,使用 Markdown。"
    ),
    "en": (
        "You are a customer-service and knowledge assistant. Answer only from the numbered passages in the last message, and "
        "name the source of each statement in brackets, like [1]. If the passages do not say it, say so; never make anything up. "
        "Answer briefly, in English, in Markdown."
    ),
}


class Failed(msgspec.Struct, frozen=True):
    """Why there is no (whole) answer: see `ModelError.reason`. ``spoke``: something of it was said already."""

    reason: str
    spoke: bool


class ModelAnswer:
    """Has the model write, and says it as it comes. ``tokens``: what it sees of the conversation before."""

    def __init__(self, asker: Asker, tokens: int) -> None:
        self._asker = asker
        self._tokens = tokens

    async def write(self, context: Context, retrieval: Retrieval) -> Failed | None:
        """Says the answer. It is journaled: another attempt of the turn says the same again and asks no model.

        Returns why it failed, if it did; what was said until then stays said.
        """
        turn, speaker = context.turn, context.speaker
        live = False

        async def generate() -> dict[str, Any]:
            nonlocal live
            live = True
            before, cited = len(speaker.text), len(speaker.citations)
            asked = await self._stream(context, retrieval)
            said = speaker.text[before:]
            sources = [msgspec.to_builtins(citation) for citation in speaker.citations[cited:]]
            return {"text": said, "citations": sources, "asked": msgspec.to_builtins(asked)}

        turn.emit("status", stage="model", model=self._asker.model.name)
        result = await turn.step("model_answer", generate)
        if not live:
            for source in result["citations"]:
                speaker.cite(msgspec.convert(source, Citation))
            speaker.say(result["text"])
        asked = recorded(result["asked"])
        note_asked(context, asked, "answer")
        self._asker.count(turn, asked)
        return Failed(asked.failed, bool(result["text"])) if asked.failed else None

    async def prompts(self, context: Context, retrieval: Retrieval) -> list[Prompt]:
        """What the model sees: instructions, the conversation before, passages and question. Sensitive values are masked.

        The passages stand with the question, not in the system's message: what stands there weighs most.
        """
        turn, masker = context.turn, context.parts.masker
        question = separated(masker.replaced(retrieval.question, masker.known(turn.state, turn.text), detect=True))
        return [
            Prompt("system", f"{_INSTRUCTIONS[context.language]} {NOTICE[context.language]}"),
            *await context.memory.history(turn, tokens=self._tokens),
            Prompt("user", f"{numbered(retrieval.passages)}\n\n{question}"),
        ]

    async def _stream(self, context: Context, retrieval: Retrieval) -> Asked:
        speaker = context.speaker
        checked = CheckedCitations(retrieval.passages, speaker.cite)
        asked = await self._asker.ask(
            context.turn,
            await self.prompts(context, retrieval),
            lambda piece: speaker.stream(checked.feed(piece)),
        )
        speaker.stream(checked.end())
        speaker.flush()
        speaker.note(**({"dropped_citations": checked.dropped} if checked.dropped else {}))
        return msgspec.structs.replace(asked, text="")  # what was said is kept by itself


def note_asked(context: Context, asked: Asked, why: str) -> None:
    """Which model answered, and what that cost, in the reply's metadata and in the trace."""
    context.speaker.note(model=asked.model)
    context.trace.note(
        "model",
        why=why,
        model=asked.model,
        prompt_tokens=asked.prompt_tokens,
        completion_tokens=asked.completion_tokens,
        estimated=asked.estimated,
        finish=asked.finish,
        failed=asked.failed,
    )
