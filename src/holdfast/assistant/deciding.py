"""The policy: a task that runs goes first, a question in between is answered and the task goes on, all else is a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.assistant.contract import Understanding
from holdfast.assistant.position import KEY, RETRY, Position, forget, position_of
from holdfast.assistant.slots import attempted, given, mentioned
from holdfast.assistant.task_actions import Action, Ask, Call, Say, Search
from holdfast.config import SlotSection, TaskSection
from holdfast.turns.turn import Turn


class TaskPolicy:
    """`Decide` for slot tasks and documents."""

    def __init__(self, tasks: Sequence[TaskSection]) -> None:
        self._tasks = {task.name: task for task in tasks}

    async def decide(self, turn: Turn, understood: Understanding) -> Sequence[Action]:
        """See `Decide.decide`."""
        position = position_of(turn.state, self._tasks)
        if "cancel" in understood.signals:
            return self._cancel(turn, understood, position)
        if position is not None and (actions := self._continued(turn, understood, position)):
            return actions
        if understood.flow in self._tasks:
            return self._start(turn, understood, self._tasks[understood.flow])
        if position is not None and not position.done:
            return self._interrupted(turn, understood, position)
        return ()

    def _cancel(self, turn: Turn, understood: Understanding, position: Position | None) -> Sequence[Action]:
        if position is None or position.done:
            return [Say("nothing_to_cancel")]
        forget(turn.state, [slot for slot in position.task.slots if not slot.remember])
        del turn.state[KEY]
        return [Say("cancelled", {"title": position.task.title})]

    def _start(self, turn: Turn, understood: Understanding, task: TaskSection) -> Sequence[Action]:
        position = Position(task)
        forget(turn.state, [slot for slot in task.slots if not slot.remember])
        turn.state.update(given(understood, position, turn.state, turn.text))
        return self._next(turn, position)

    def _continued(self, turn: Turn, understood: Understanding, position: Position) -> Sequence[Action]:
        """What the running (or just finished) task makes of the words; nothing where they are not for it."""
        if not position.done and position.asking == RETRY:
            if understood.signals & {"affirm", "retry"}:
                return self._next(turn, position)
            if "deny" in understood.signals and not understood.entities and "question" not in understood.signals:
                return self._cancel(turn, understood, position)
        values = given(understood, position, turn.state, turn.text)
        if values and (not position.done or understood.flow != position.task.name or understood.reference):
            self._fill(turn, position, values)
            return self._next(turn, position)
        if values:  # asked for anew, with values
            return ()
        if "question" in understood.signals and "deny" not in understood.signals and not understood.reference:
            return ()
        if "correct" in understood.signals or (understood.reference and not understood.flow):
            return self._corrected(turn, understood, position)
        return ()

    def _fill(self, turn: Turn, position: Position, values: dict[str, Any]) -> None:
        """Sets slots; those after the first one that changed depended on it, and are asked for again."""
        changed = False
        for slot in position.task.slots:
            if changed and slot.name not in values:
                turn.state.pop(slot.name, None)
                position.choices.pop(slot.name, None)
            if slot.name in values and turn.state.get(slot.name) != values[slot.name]:
                changed = changed or slot.name in turn.state
                turn.state[slot.name] = values[slot.name]

    def _corrected(self, turn: Turn, understood: Understanding, position: Position) -> Sequence[Action]:
        """ "That is wrong", or "the other one", without what would be right."""
        slot = mentioned(understood, position)
        if slot is None and "question" in understood.signals:
            return ()
        if slot is None and not understood.reference and position.done and not _told_last(turn):
            return ()
        if understood.reference and (slot is None or position.choices.get(slot.name)):
            return self._unresolved(turn, understood, position)
        slot = slot or self._latest(turn, position)
        return self._ask_again(turn, position, slot) if slot is not None else ()

    def _unresolved(self, turn: Turn, understood: Understanding, position: Position) -> Sequence[Action]:
        """A reference that picks none of the choices: the third of two, the other of three."""
        slot = next((slot for slot in position.task.slots if position.choices.get(slot.name)), None)
        if slot is None:
            return ()
        if understood.reference == "other" and len(position.choices[slot.name]) < 2:
            return [Say("no_other")] if position.done else [Say("no_other"), Ask()]
        return self._ask_again(turn, position, slot)

    def _latest(self, turn: Turn, position: Position) -> SlotSection | None:
        """The slot that a bare "that is wrong" means: the last one that was answered before the open question."""
        before = list(position.task.slots)
        if not position.done and position.slot is not None:
            before = before[: before.index(position.slot)]
        return next((slot for slot in reversed(before) if slot.name in turn.state), position.slot)

    def _ask_again(self, turn: Turn, position: Position, slot: SlotSection) -> Sequence[Action]:
        at = position.task.slots.index(slot)
        forget(turn.state, position.task.slots[at:])
        for later in position.task.slots[at + 1 :]:
            position.choices.pop(later.name, None)
        position.asking, position.done = slot.name, False
        position.save(turn.state)
        return [Ask()]

    def _interrupted(self, turn: Turn, understood: Understanding, position: Position) -> Sequence[Action]:
        """Words that do not answer the open question: a wrong answer, another question, or nothing of use."""
        slot = position.slot
        if slot is not None and attempted(slot, understood):
            position.tries += 1
            if position.tries >= position.task.max_tries:
                forget(turn.state, position.task.slots)
                del turn.state[KEY]
                return [Say("gave_up", {"title": position.task.title})]
            position.save(turn.state)
            return [Ask("invalid")]
        if "question" in understood.signals:
            return [Search(turn.text), Ask("return")]
        if understood.signals & {"greet", "thanks", "affirm", "deny", "retry"} or not understood.text:
            return [Ask()]
        return [Search(turn.text, insist=False), Ask("return")]

    def _next(self, turn: Turn, position: Position) -> Sequence[Action]:
        missing = next((slot for slot in position.task.slots if slot.required and slot.name not in turn.state), None)
        position.asking, position.done = missing.name if missing else "", False
        position.save(turn.state)
        return [Ask()] if missing else [Call()]


def _told_last(turn: Turn) -> bool:
    """Whether the last reply was a task's, so that "that is wrong" is about it."""
    return bool(turn.messages) and turn.messages[-1].metadata.get("mode") == "task"
