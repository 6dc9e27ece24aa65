"""The policy that answers from documents."""

from __future__ import annotations

from holdfast.assistant.context import Context
from holdfast.assistant.contract import AskDocuments


class FromDocuments:
    """`Policy` for whatever the documents can answer."""

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        asked = (one.question for one in context.understood.commands if isinstance(one, AskDocuments))
        question = next(filter(None, asked), context.turn.text)  # where a model has understood: whole, and by itself
        retrieval = await context.search(question)
        if retrieval is None:
            context.say("knowledge_failed")
            return True
        if not retrieval.relevant or not retrieval.passages:
            return False
        context.speaker.paragraph()
        await context.answer.answer(context, retrieval)
        return True
