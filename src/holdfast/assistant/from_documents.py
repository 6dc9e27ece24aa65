"""The policy that answers from documents."""

from __future__ import annotations

from holdfast.assistant.context import Context


class FromDocuments:
    """`Policy` for whatever the documents can answer."""

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        retrieval = await context.search(context.turn.text)
        if retrieval is None:
            context.say("knowledge_failed")
            return True
        if not retrieval.relevant or not retrieval.passages:
            return False
        context.speaker.paragraph()
        await context.answer.answer(context, retrieval)
        return True
