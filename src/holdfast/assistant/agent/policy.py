"""The policy of the agent: the model answers, or wants tools called; round after round, each journaled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from holdfast.assistant.agent.calls import Agree, Calls
from holdfast.assistant.agent.material import argument_lines, call_prompt, error_prompt, instructions, last_round
from holdfast.assistant.agent.pending import Pending, forget, pending_of
from holdfast.assistant.answering import quote_instead
from holdfast.assistant.citing import CheckedCitations
from holdfast.assistant.context import Context
from holdfast.assistant.contract import Prompt, ToolSpec
from holdfast.assistant.model_answer import note_asked
from holdfast.assistant.models.asking import Asked, Asker, recorded
from holdfast.assistant.parts import Parts
from holdfast.assistant.untrusted import separated
from holdfast.config import AgentSection
from holdfast.errors import ConfigError
from holdfast.sessions.message import Citation, ToolCall


class Agent:
    """`Policy` of a model with tools. Raises `ConfigError` where there is no model."""

    def __init__(self, parts: Parts) -> None:
        if parts.asker is None:
            raise ConfigError(
                'assistant.policy has "agent", and no model is configured: set model.base_url or model.api_key'
            )
        self._asker = parts.asker
        self._settings = parts.config.agent

    def waits(self, context: Context) -> bool:
        """Whether the words are the answer to "shall I?": then they are this policy's, before any other's."""
        words = context.understood.signals & {"affirm", "deny", "cancel"}
        return bool(words) and pending_of(context.turn) is not None

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`; always True."""
        await _Rounds(context, self._asker, self._settings).run()
        return True


class _Rounds:
    """One turn of the agent."""

    def __init__(self, context: Context, asker: Asker, settings: AgentSection) -> None:
        self._context = context
        self._asker = asker
        self._settings = settings
        self._calls = Calls(context)
        self._prompts: list[Prompt] = []
        self._settled = ""
        """What is said of a call that the user was asked about, should the model have nothing to say."""

    async def run(self) -> None:
        self._context.speaker.note(mode="agent")
        await self._begin()
        for number in range(1, self._settings.max_rounds + 1):
            last = number == self._settings.max_rounds or self._calls.made >= self._settings.max_calls
            tools = () if last else self._calls.specs
            said, asked = await self._round(number, tools)
            if asked.failed:
                await self._instead(asked.failed, spoke=bool(said))
                return
            if not asked.calls:
                return
            if last:
                self._context.speaker.note(out_of_rounds=True)
                self._context.say("agent_out_of_rounds")
                return
            if not await self._call_all(number, said, asked.calls):
                return

    async def _begin(self) -> None:
        """What the model sees at first; and the call that the user was asked about, made or dropped."""
        context = self._context
        turn, masker = context.turn, context.parts.masker
        known = masker.known(turn.state, turn.text)
        user = Prompt("user", separated(masker.replaced(turn.text, known, detect=True)))
        own = self._settings.instructions.get(context.language, "")
        self._prompts = [
            Prompt("system", instructions(own, context.language, datetime.now(UTC).astimezone().date())),
            *await context.memory.history(turn, tokens=context.parts.config.memory.tokens),
        ]
        pending = pending_of(turn)
        forget(turn)
        if pending is None:
            self._prompts.append(user)
            return
        call = ToolCall("call_0_0", pending.tool, pending.arguments)
        asked = call_prompt("", [ToolCall(call.id, call.name, self._calls.shown(call.arguments))])
        signals = context.understood.signals
        if "affirm" in signals and not signals & {"deny", "cancel"}:
            context.trace.note("agreed", tool=pending.tool)
            result = await self._calls.make(call, "agent:0:call:0", agreed=True)
            assert isinstance(result, Prompt)
            self._settled = self._text("agent_not_done" if self._calls.failed else "agent_done", pending.tool)
            self._prompts += [user, asked, result]
        else:
            context.trace.note("declined", tool=pending.tool)
            if signals & {"deny", "cancel"}:
                self._settled = self._text("agent_declined", pending.tool)
            self._prompts += [asked, error_prompt(call, "the user was asked and did not agree; it was not done"), user]

    async def _round(self, number: int, tools: tuple[ToolSpec, ...]) -> tuple[str, Asked]:
        """One answer of the model, said as it comes; from the journal where another attempt has recorded it."""
        turn, speaker = self._context.turn, self._context.speaker
        live = False
        prompts = self._prompts
        if not tools and self._calls.made:
            prompts = last_round(prompts, self._context.language)

        async def generate() -> dict[str, Any]:
            nonlocal live
            live = True
            checked = CheckedCitations(self._calls.passages, speaker.cite)
            cited = len(speaker.citations)
            begun: list[int] = []

            def say(text: str) -> None:
                if text and not begun:
                    speaker.paragraph()
                    begun.append(len(speaker.text))
                speaker.stream(text)

            asked = await self._asker.ask(turn, prompts, lambda piece: say(checked.feed(piece)), tools=tools)
            say(checked.end())
            speaker.flush()
            speaker.note(**({"dropped_citations": checked.dropped} if checked.dropped else {}))
            return {
                "said": speaker.text[begun[0] :] if begun else "",
                "citations": [msgspec.to_builtins(citation) for citation in speaker.citations[cited:]],
                "asked": msgspec.to_builtins(msgspec.structs.replace(asked, text="")),
            }

        turn.emit("status", stage="model", model=self._asker.model.name)
        record = await turn.step(f"agent:{number}", generate)
        if not live:
            for source in record["citations"]:
                speaker.cite(msgspec.convert(source, Citation))
            if record["said"]:
                speaker.paragraph()
                speaker.say(record["said"])
        asked = recorded(record["asked"])
        note_asked(self._context, asked, "agent")
        self._asker.count(turn, asked)
        return record["said"], asked

    async def _call_all(self, number: int, said: str, wanted: tuple[ToolCall, ...]) -> bool:
        """Makes the calls in their order, and adds them to the prompts. False where the user has to be asked first: the turn ends,
        and the calls behind that one are left to the model's further thoughts."""
        calls = [ToolCall(f"call_{number}_{place}", call.name, call.arguments) for place, call in enumerate(wanted)]
        results: list[Prompt] = []
        for place, call in enumerate(calls):
            if self._calls.made >= self._settings.max_calls:
                results.append(error_prompt(call, "no further call is allowed in this turn"))
                continue
            result = await self._calls.make(call, f"agent:{number}:call:{place}")
            if isinstance(result, Agree):
                self._ask(result)
                return False
            results.append(result)
        self._prompts += [call_prompt(said, calls), *results]
        return True

    def _ask(self, agree: Agree) -> None:
        """Asks the user, and keeps the call for the next turn."""
        context = self._context
        title = self._title(agree.call.name)
        lines = argument_lines(self._calls.shown(agree.arguments))
        question = context.parts.texts.get("agent_ask", context.language, {"title": title, "arguments": lines})
        context.speaker.paragraph()
        before = len(context.speaker.text)
        context.speaker.say(question)
        context.trace.note("asked", tool=agree.call.name)
        Pending(agree.call.name, agree.arguments, context.speaker.text[before:], context.turn.id).keep(
            context.turn.state
        )

    async def _instead(self, reason: str, *, spoke: bool) -> None:
        """What is said where the model has failed: of the call that was agreed to, or the documents' own words, or why."""
        context = self._context
        context.speaker.note(fallback=reason)
        why = context.parts.texts.get(f"reason_{reason}", context.language)
        if spoke:
            context.say("agent_broke_off", reason=why)
            return
        if self._settled:
            context.speaker.paragraph()
            context.speaker.say(self._settled)
            return
        retrieval = await context.search(context.turn.text)
        if retrieval is not None and retrieval.relevant and retrieval.passages:
            context.speaker.paragraph()
            quote_instead(context, retrieval, reason, spoke=False)
        else:
            context.say("agent_failed", reason=why)

    def _text(self, name: str, tool: str) -> str:
        return self._context.parts.texts.get(name, self._context.language, {"title": self._title(tool)})

    def _title(self, tool: str) -> str:
        titles = self._context.parts.config.tools.titles.get(tool, {})
        return titles.get(self._context.language, tool)
