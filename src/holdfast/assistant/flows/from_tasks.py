"""``[[tasks]]`` of the config as flows: slots are asked for, a tool is called with them, its outcome is told."""

from __future__ import annotations

from typing import Any

from holdfast.assistant.flows.expressions import Expression
from holdfast.assistant.flows.program import Program, compiled
from holdfast.assistant.flows.schema import Ask, Call, Flow, FlowSlot, Go, Response, Say, Switch
from holdfast.config import TaskSection
from holdfast.config.fields import Localized

TOOL = "tool"
"""The id of the step that calls the task's tool."""


def tool_name(task: TaskSection) -> str:
    """How the tools' part calls the task's function."""
    return task.tool.partition(":")[2]


def flow_of(task: TaskSection) -> Program:
    """The flow of a task."""
    slots: dict[str, FlowSlot] = {}
    for slot in task.slots:
        slots[slot.name] = FlowSlot(
            type=slot.type,
            pattern=slot.pattern,
            ask=_response(slot.prompt),
            invalid=_response(slot.invalid),
            remember=slot.remember,
            depends=tuple(slots),  # what comes later belonged to what was said before
            called=slot.called,
        )
    cases: dict[str, tuple[Any, ...]] = {}
    for outcome, reply in task.replies.items():
        text = _response(reply.text)
        if reply.ask:
            cases[outcome] = (Ask(ask=reply.ask, say=text, again=True), Go(go=TOOL))
        else:
            cases[outcome] = (Say(say=text),)
    flow = Flow(
        title=task.title,
        triggers=task.triggers,
        max_tries=task.max_tries,
        slots=slots,
        steps=(
            *(Ask(ask=slot.name) for slot in task.slots if slot.required),
            Call(call=tool_name(task), id=TOOL, outcomes=tuple(task.replies)),
            Switch(switch=Expression("outcome"), cases=cases),
        ),
    )
    return compiled(task.name, flow)


def _response(texts: Localized) -> Response:
    return Response.model_validate(texts)
