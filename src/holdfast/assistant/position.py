"""A task's position: all that a conversation remembers of where it is, in a few keys of the session's state.

``task`` holds the task's name, the slot that is asked for, wrong answers in a row, the choices on offer, and whether it is done
(a done task stays, so that it can be corrected: "no, the other order"). Each slot's value is a state field of its own, so that
it can be classified, encrypted and changed by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.config import SlotSection, TaskSection

KEY: Final = "task"
RETRY: Final = "?retry"
"""Asked for instead of a slot: whether to call the tool again."""


@dataclass
class Position:
    """Where a conversation is in a task.

    Attributes:
        task: which one. asking: the slot that was asked for last, `RETRY`, or "".
        tries: wrong answers in a row. done: its outcome was told.
        choices: by slot, what it may be: ``[{"value": ..., "label": text in each language or one}]``.
    """

    task: TaskSection
    asking: str = ""
    tries: int = 0
    done: bool = False
    choices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def slot(self) -> SlotSection | None:
        """The slot that is asked for."""
        return self.task.slot(self.asking)

    def save(self, state: MutableMapping[str, Any]) -> None:
        """Writes it to the session's state."""
        state[KEY] = {
            "name": self.task.name,
            "asking": self.asking,
            "tries": self.tries,
            "done": self.done,
            "choices": self.choices,
        }


def position_of(state: Mapping[str, Any], tasks: Mapping[str, TaskSection]) -> Position | None:
    """The position in the state; None where there is none, or the config has no such task any more."""
    kept = state.get(KEY)
    task = tasks.get(str(kept.get("name"))) if isinstance(kept, Mapping) else None
    if task is None or not isinstance(kept, Mapping):
        return None
    asking = str(kept.get("asking") or "")
    return Position(
        task,
        asking if asking == RETRY or task.slot(asking) else "",
        int(kept.get("tries") or 0),
        bool(kept.get("done")),
        choices_in(kept.get("choices")),
    )


def choices_in(value: Any) -> dict[str, list[dict[str, Any]]]:
    """Choices as a tool returned them, or as they were kept; what is not of that form is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(slot): [dict(option) for option in options if isinstance(option, Mapping) and "value" in option]
        for slot, options in value.items()
        if isinstance(options, Sequence) and not isinstance(options, str)
    }


def forget(state: MutableMapping[str, Any], slots: Sequence[SlotSection]) -> None:
    """Removes the slots' values."""
    for slot in slots:
        state.pop(slot.name, None)
