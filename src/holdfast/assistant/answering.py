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
        speaker = context.speaker
        if self._model is None:
            speaker.note(mode="extractive")
            quote(context, retrieval, context.parts.texts.get("quoting", context.language))
            return
        speaker.note(mode="model")
        failed = await self._model.write(context, retrieval)
        if failed is not None:
            quote_instead(context, retrieval, failed.reason, spoke=failed.spoke)


def quote_instead(context: Context, retrieval: Retrieval, reason: str, *, spoke: bool) -> None:
    """Quotes, and says why the model has not answered (or, where it ``spoke``, not to its end)."""
    texts, language, speaker = context.parts.texts, context.language, context.speaker
    speaker.note(mode="extractive", fallback=reason)
    notice = "model_broke_off" if spoke else "model_budget" if reason == "budget" else "model_failed"
    if spoke:
        speaker.paragraph()
    quote(context, retrieval, texts.get(notice, language, {"reason": texts.get(f"reason_{reason}", language)}))


def quote(context: Context, retrieval: Retrieval, notice: str) -> None:
    """The documents' own sentences, after a notice of why they are quoted."""
    texts, language, speaker = context.parts.texts, context.language, context.speaker
    quotes = [
        f"{texts.get('quote', language, {'quote': quote.quote})} [{speaker.cite(quote)}]"
        for quote in retrieval.quotes or retrieval.passages[:1]
    ]
    speaker.say("\n\n".join([notice, *quotes]))
