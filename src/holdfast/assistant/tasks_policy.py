"""The policy of slot tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.assistant.context import Context
from holdfast.assistant.deciding import TaskPolicy
from holdfast.assistant.position import KEY, RETRY, Position, choices_in, position_of
from holdfast.assistant.routing import unanswered
from holdfast.assistant.task_actions import Ask, Call, Finding, Say, Search, Told
from holdfast.assistant.texts import filled, in_language
from holdfast.assistant.tools import Tool
from holdfast.config import TaskSection
from holdfast.errors import StepMisuse, ToolError

_log: Final = logging.getLogger(__name__)


class Tasks:
    """`Policy` for ``[[tasks]]``."""

    def __init__(self, tasks: Sequence[TaskSection]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._tools = {task.name: Tool(task) for task in tasks}
        self._decide = TaskPolicy(tasks)

    async def respond(self, context: Context) -> bool:
        """See `Policy.respond`."""
        actions = await self._decide.decide(context.turn, context.understood)
        for action in actions:
            match action:
                case Say():
                    context.say(action.text, **action.values)
                case Ask():
                    self._ask(context, action)
                case Search():
                    if not await context.others():
                        if action.insist:
                            unanswered(context)
                        else:
                            context.say("unclear")
                case Call():
                    position = position_of(context.turn.state, self._tasks)
                    if position is not None:
                        for finding in await self._call(context, position):
                            self._tell(context, finding)
        return bool(actions)

    def _tell(self, context: Context, finding: Finding) -> None:
        match finding:
            case Say():
                context.say(finding.text, **finding.values)
            case Ask():
                self._ask(context, finding)
            case Told():
                context.speaker.paragraph()
                template = in_language(self._tasks[finding.task].replies[finding.outcome].text, context.language)
                context.speaker.say(filled(template, context.shown(finding.values), context.language))

    async def _call(self, context: Context, position: Position) -> Sequence[Finding]:
        turn, task, tool = context.turn, position.task, self._tools[position.task.name]
        slots = {slot.name: turn.state[slot.name] for slot in task.slots if slot.name in turn.state}
        turn.emit("status", stage="tool", tool=tool.name)
        try:
            result = await tool.call(turn, slots)
        except (ToolError, StepMisuse) as error:  # misuse: a result that cannot be stored
            _log.warning("session %s: %s", turn.key.id, error)
            position.asking = RETRY
            position.save(turn.state)
            return [Say("tool_failed", {"title": task.title}), Ask()]
        return self._told(context, position, slots, result)

    def _told(
        self, context: Context, position: Position, slots: Mapping[str, Any], result: dict[str, Any]
    ) -> Sequence[Finding]:
        """Moves the position by the outcome. A slot that is asked for again although it had a value was wrong."""
        turn = context.turn
        task, reply = position.task, position.task.replies[result["outcome"]]
        position.choices.update(choices_in(result.get("choices")))
        if isinstance(found := result.get("slots"), Mapping):
            turn.state.update({slot.name: found[slot.name] for slot in task.slots if slot.name in found})
        position.asking, position.done = reply.ask, not reply.ask
        told = Told(task.name, result["outcome"], {**slots, **result, "choices": position.choices.get(reply.ask, [])})
        if not reply.ask:
            position.tries = 0
        else:
            position.tries = position.tries + 1 if reply.ask in slots else 0
            turn.state.pop(reply.ask, None)
        if position.tries >= task.max_tries:
            for slot in task.slots:
                turn.state.pop(slot.name, None)
            del turn.state[KEY]
            return [Say("gave_up", {"title": task.title})]
        position.save(turn.state)
        return [told]

    def _ask(self, context: Context, ask: Ask) -> None:
        position = position_of(context.turn.state, self._tasks)
        if position is None or not position.asking:
            return
        slot, texts, language = position.slot, context.parts.texts, context.language
        lines: list[str] = []
        if ask.because == "return":
            lines.append(texts.get("return", language, {"title": position.task.title}))
        if ask.because == "invalid":
            lines.append(
                in_language(slot.invalid, language) if slot and slot.invalid else texts.get("invalid", language)
            )
        if ask.because != "invalid" or (slot is not None and not slot.invalid):
            if position.asking == RETRY or slot is None:
                lines.append(texts.get("retry", language))
            else:
                lines.append(filled(in_language(slot.prompt, language), {}, language))
                if choices := context.shown({"choices": position.choices.get(position.asking, [])})["choices"]:
                    lines.append(choices)
        context.speaker.paragraph()
        context.speaker.say("\n".join(lines))
