"""Carries out what was decided: tools as journaled steps, questions against the documents."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.assistant.contract import (
    Action,
    Ask,
    Call,
    Documents,
    Finding,
    Found,
    Retrieval,
    Say,
    Search,
    Told,
    Understanding,
)
from holdfast.assistant.position import KEY, RETRY, Position, choices_in, position_of
from holdfast.assistant.tools import Tool
from holdfast.config import TaskSection
from holdfast.errors import HoldfastError, StepMisuse, StoreError, ToolError, TurnError
from holdfast.turns.turn import Turn

_log: Final = logging.getLogger(__name__)
_EARLIER: Final = 1
"""Questions before this one that a search also looks at."""


class ToolsAndDocuments:
    """`Act` with Python functions as tools. ``documents`` None: nothing is ever found."""

    def __init__(self, tasks: Sequence[TaskSection], documents: Documents | None) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._tools = {task.name: Tool(task) for task in tasks}
        self._documents = documents

    async def act(self, turn: Turn, understood: Understanding, actions: Sequence[Action]) -> Sequence[Finding]:
        """See `Act.act`."""
        findings: list[Finding] = []
        for action in actions:
            match action:
                case Search():
                    findings.append(await self._search(turn, action))
                case Call():
                    position = position_of(turn.state, self._tasks)
                    if position is not None:
                        findings += await self._call(turn, position)
                case _:
                    findings.append(action)
        return findings

    async def _search(self, turn: Turn, search: Search) -> Finding:
        if self._documents is None:
            return Found(Retrieval(search.question)) if search.insist else Say("unclear")
        turn.emit("status", stage="search")
        try:
            retrieval = await self._documents.search(search.question, earlier_questions(turn))
        except (StoreError, TurnError):
            raise
        except HoldfastError as error:
            _log.error("the documents cannot be searched: %s", error)
            return Say("knowledge_failed")
        return Found(retrieval) if retrieval.relevant or search.insist else Say("unclear")

    async def _call(self, turn: Turn, position: Position) -> Sequence[Finding]:
        task, tool = position.task, self._tools[position.task.name]
        slots = {slot.name: turn.state[slot.name] for slot in task.slots if slot.name in turn.state}
        turn.emit("status", stage="tool", tool=tool.name)
        try:
            result = await tool.call(turn, slots)
        except (ToolError, StepMisuse) as error:  # misuse: a result that cannot be stored
            _log.warning("session %s: %s", turn.key.id, error)
            position.asking = RETRY
            position.save(turn.state)
            return [Say("tool_failed", {"title": task.title}), Ask()]
        return self._told(turn, position, slots, result)

    def _told(
        self, turn: Turn, position: Position, slots: Mapping[str, Any], result: dict[str, Any]
    ) -> Sequence[Finding]:
        """Moves the position by the outcome. A slot that is asked for again although it had a value was wrong."""
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


def earlier_questions(turn: Turn) -> list[str]:
    """The user's last questions to the documents, oldest first; what was said to a task (a phone number) is none."""
    questions: list[str] = []
    answered = False
    for message in reversed(turn.messages):
        if message.role == "assistant":
            answered = message.metadata.get("mode") in ("extractive", "model")
        elif message.role == "user":
            if not answered:
                break
            questions.append(message.content)
            if len(questions) == _EARLIER:
                break
    return questions[::-1]
