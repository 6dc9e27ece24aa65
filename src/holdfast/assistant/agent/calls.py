"""The agent's calls: which are allowed, which the user has to agree to, and what comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfast.assistant.agent.material import SEARCH, error_prompt, passages_prompt, result_prompt
from holdfast.assistant.context import Context
from holdfast.assistant.contract import Prompt, ToolSpec
from holdfast.assistant.memory import brief
from holdfast.assistant.untrusted import MARK
from holdfast.errors import StepMisuse, ToolError
from holdfast.sessions.message import Citation, Message, ToolCall

_log: Final = logging.getLogger(__name__)
_KEPT_CHARS: Final = 2_000
"""Of a result that the log keeps, for later turns."""


@dataclass(frozen=True)
class Agree:
    """The user has to agree to this call first. ``arguments``: in clear, and of the right types."""

    call: ToolCall
    arguments: dict[str, Any]


class Calls:
    """The calls of one turn.

    What may be called is decided here, by the specs alone: whatever a model says, or was told by a result.

    Attributes:
        passages: what was found in the documents in this turn; a citation's number is its place.
        made: calls so far, failed ones too. failed: those that failed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.passages: list[Citation] = []
        self.made = 0
        self.failed = 0
        self._specs = {spec.name: spec for spec in context.tools.specs() if not spec.flows_only}
        if context.documents is not None:
            self._specs[SEARCH.name] = SEARCH

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is offered."""
        return tuple(self._specs.values())

    async def make(self, call: ToolCall, step: str, *, agreed: bool = False) -> Prompt | Agree:
        """Makes a call, journaled under ``step``; what the model is told of it. A wrong or failed call is told too."""
        self.made += 1
        spec = self._specs.get(call.name)
        if spec is None:
            return self._failed(call, {}, ToolError(f"there is no tool {call.name[:64]!r}", "not_allowed"))
        if spec is SEARCH:
            return await self._search(call, step)
        context = self._context
        given = self._in_clear(spec, call.arguments)
        tools = context.tools
        try:
            if callable(check := getattr(tools, "check", None)):
                check(call.name, given)
            if spec.asks and not agreed:
                return Agree(call, given)
            context.turn.emit("status", stage="tool", tool=call.name)
            started = time.perf_counter()
            result = await tools.call(context.turn, call.name, given, step=step)
        except (ToolError, StepMisuse) as error:  # misuse: of somebody's own tools, whose result cannot be stored
            return self._failed(call, given, error)
        shown = context.parts.masker.data(result, {**context.turn.state, "result": result})
        self._noted(call, given, result=shown, ms=round((time.perf_counter() - started) * 1000, 1))
        self._kept(call, given, brief(shown))
        return result_prompt(call, shown)

    def shown(self, arguments: Mapping[str, Any]) -> Any:
        """Arguments as they may be shown."""
        return self._context.parts.masker.data(arguments, {**self._context.turn.state, "arguments": arguments})

    async def _search(self, call: ToolCall, step: str) -> Prompt:
        context = self._context
        question = call.arguments.get("question")
        if not isinstance(question, str) or not question.strip():
            return self._failed(call, {}, ToolError("argument 'question' is missing", "arguments"))

        async def look_up() -> dict[str, Any]:
            retrieval = await context.search(question[:1_000])
            if retrieval is None:
                return {"error": "the documents cannot be searched at the moment"}
            found = retrieval.passages if retrieval.relevant else ()
            return {"passages": [msgspec.to_builtins(passage) for passage in found]}

        record = await context.turn.step(step, look_up)
        if "error" in record:
            return self._failed(call, {"question": question}, ToolError(record["error"]))
        passages = msgspec.convert(record["passages"], list[Citation])
        first = len(self.passages) + 1
        self.passages += passages
        return passages_prompt(call, passages, first)

    def _failed(self, call: ToolCall, given: Mapping[str, Any], error: ToolError | StepMisuse) -> Prompt:
        self.failed += 1
        turn = self._context.turn
        reason = error.reason if isinstance(error, ToolError) else "result"
        masker = self._context.parts.masker  # a tool may name what it was given
        known = masker.known({**turn.state, "arguments": given}, turn.text)
        why = masker.replaced(str(error), known, detect=True)
        _log.warning("session %s, turn %s: the agent's call failed (%s): %s", turn.key.id, turn.id, reason, why)
        self._noted(call, given, error=why, reason=reason)
        if reason != "not_allowed":
            self._kept(call, given, brief({"error": why}), failed=True)
        return error_prompt(call, why)

    def _in_clear(self, spec: ToolSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments with the values behind the masks that the model was shown, from the state and from what the user said, as far
        as the tool may see them."""
        masker, turn = self._context.parts.masker, self._context.turn
        said = [message.content for message in turn.messages if message.role == "user"]
        clear = masker.revealed(dict(arguments), turn.state, turn.text, *said)
        return masker.arguments(spec.name, spec.sees, clear, turn.state)

    def _noted(self, call: ToolCall, given: Mapping[str, Any], **data: Any) -> None:
        arguments = msgspec.to_builtins(self.shown(given), enc_hook=str)
        data = msgspec.to_builtins(data, enc_hook=str)
        self._context.trace.note("tool", tool=call.name[:64], arguments=arguments, **data, **{MARK: "tool"})

    def _kept(self, call: ToolCall, given: Mapping[str, Any], text: str, *, failed: bool = False) -> None:
        """For the turns that follow: the call and, in brief, what came of it, masked."""
        metadata: dict[str, Any] = {"tool": call.name, MARK: "tool", **({"failed": True} if failed else {})}
        self._context.turn.append(Message("tool", text[:_KEPT_CHARS], tool_call_id=call.id, metadata=metadata))
        self._context.speaker.called(ToolCall(call.id, call.name, self.shown(given)))
