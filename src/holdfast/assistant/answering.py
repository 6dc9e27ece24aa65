"""Passages to words: the documents' own sentences, or a model that writes from them."""

from __future__ import annotations

from holdfast.assistant.context import Context
from holdfast.assistant.contract import Retrieval
from holdfast.assistant.model_answer import ModelAnswer


class WrittenAnswer:
    """`Answer` from quotes; ``model`` writes from the passages where there is one."""

    def __init__(self, model: ModelAnswer | None) -> None:
        self._model = model

    async def answer(self, context: Context, retrieval: Retrieval) -> None:
        """See `Answer.answer`. The reply's metadata: ``mode`` (extractive, model) and, where the model failed, ``fallback`` with
        the reason."""
        texts, language, speaker = context.parts.texts, context.language, context.speaker
        if self._model is None:
            speaker.note(mode="extractive")
            _quote(context, retrieval, texts.get("quoting", language))
            return
        speaker.note(mode="model", model=self._model.name)
        failed = await self._model.write(context.turn, retrieval, language, speaker)
        if failed is not None:
            speaker.note(mode="extractive", fallback=failed.reason)
            reason = texts.get(f"reason_{failed.reason}", language)
            notice = "model_broke_off" if failed.spoke else "model_failed"
            if failed.spoke:
                speaker.paragraph()
            _quote(context, retrieval, texts.get(notice, language, {"reason": reason}))


def _quote(context: Context, retrieval: Retrieval, notice: str) -> None:
    texts, language, speaker = context.parts.texts, context.language, context.speaker
    quotes = [
        f"{texts.get('quote', language, {'quote': quote.quote})} [{speaker.cite(quote)}]"
        for quote in retrieval.quotes or retrieval.passages[:1]
    ]
    speaker.say("\n\n".join([notice, *quotes]))
