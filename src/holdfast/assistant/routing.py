"""The router: policies in the config's order, the first that takes a turn answers it."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.assistant.context import Context
from holdfast.assistant.contract import Policy


class Router:
    """`Policy` of policies, by name. What nobody takes is said not to be understood."""

    def __init__(self, policies: Sequence[tuple[str, Policy]]) -> None:
        self.policies = tuple(policies)

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`; always True. A policy that ``waits`` for just these words ("yes") is asked before all others."""
        for name, policy in self.policies:
            if (waits := getattr(policy, "waits", None)) and waits(context) and await policy.respond(context):
                context.trace.note("decision", policy=name)
                return True
        if not await self._from(context, 0):
            unanswered(context)
        return True

    async def _from(self, context: Context, first: int) -> bool:
        before = context.others
        try:
            for place in range(first, len(self.policies)):
                name, policy = self.policies[place]
                context.others = lambda place=place: self._from(context, place + 1)  # type: ignore[misc]
                if await policy.respond(context):
                    context.trace.note("decision", policy=name)
                    return True
            return False
        finally:
            context.others = before


def unanswered(context: Context) -> None:
    """Says that nothing was found, to a question, or else that nothing was understood."""
    if "question" in context.understood.signals or context.documents is not None:
        context.speaker.note(mode="nothing")
        context.say("nothing_found")
    else:
        context.say("unclear")
