"""Where a conversation is in its flows: a stack of frames under one key of the session's state.

Each slot's value is a state field of its own, so that it can be classified, encrypted and changed by itself. The last frame is
the flow that runs; those before it wait for its end. A flow that is done stays, if it is the only one, so that it can be
corrected ("no, the other order").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from holdfast.assistant.flows.program import Program

KEY: Final = "flow"
CONFIRM: Final = "?confirm"
"""Asked for instead of a slot: yes or no."""
AGREE: Final = "?agree"
"""Asked for instead of a slot: whether the tool may be called."""
RETRY: Final = "?retry"
"""Asked for instead of a slot: whether to call the tool again."""
_QUESTIONS: Final = (CONFIRM, AGREE, RETRY)
DEEPEST: Final = 5
"""Flows that wait for others; of more the oldest is dropped."""


@dataclass
class Frame:
    """Where a conversation is in one flow.

    Attributes:
        name: the flow. at: the id of the step that is next; "" at its end.
        asking: the slot that was asked for last, or `CONFIRM`, `AGREE`, `RETRY`; "" if nothing was.
        tries: wrong values in a row for the slot ``trying``. done: it came to its end.
        agreed: the user has said yes since the last change. acted: it has called a tool that asks before doing.
        choices: by slot, what it may be: ``[{"value": ..., "label": text in each language or one}]``.
        values: of its own: what ``set`` made. results: what tools returned, by the names that calls save them under or else by
            the call's step, the latest last.
        seen: seconds since the Unix epoch, when the user was last here.
        called: the flow below runs it, and goes on at its end.
        days: by slot of date and time, the day that was told without a time.
        covered: values that its slots have for the flows below, for which they are kept until it is left.
    """

    name: str
    at: str = ""
    asking: str = ""
    tries: int = 0
    done: bool = False
    agreed: bool = False
    acted: bool = False
    choices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    seen: float = 0.0
    called: bool = False
    covered: dict[str, Any] = field(default_factory=dict)
    trying: str = ""
    days: dict[str, str] = field(default_factory=dict)


def load(state: Mapping[str, Any], programs: Mapping[str, Program]) -> list[Frame]:
    """The stack in the state, without flows that there are no more, and whatever is not of that form."""
    kept = state.get(KEY)
    frames: list[Frame] = []
    for one in kept if isinstance(kept, Sequence) and not isinstance(kept, str) else ():
        program = programs.get(str(one.get("name"))) if isinstance(one, Mapping) else None
        if program is None:
            continue
        asking = str(one.get("asking") or "")
        values, results, covered = one.get("values"), one.get("results"), one.get("covered")
        days = one.get("days")
        frames.append(
            Frame(
                program.name,
                str(one.get("at") or ""),
                asking if asking in _QUESTIONS or asking in program.flow.slots else "",
                _number(one.get("tries")),
                bool(one.get("done")),
                bool(one.get("agreed")),
                bool(one.get("acted")),
                choices_in(one.get("choices")),
                dict(values) if isinstance(values, Mapping) else {},
                dict(results) if isinstance(results, Mapping) else {},
                float(_number(one.get("seen"))),
                bool(one.get("called")) and bool(frames),
                dict(covered) if isinstance(covered, Mapping) else {},
                str(one.get("trying") or ""),
                {str(slot): str(day) for slot, day in days.items()} if isinstance(days, Mapping) else {},
            )
        )
    return frames


def save(state: MutableMapping[str, Any], frames: Sequence[Frame]) -> None:
    """Writes the stack to the state; nothing where it is empty."""
    if frames:
        state[KEY] = [asdict(frame) for frame in frames]
    else:
        state.pop(KEY, None)


def forget(state: MutableMapping[str, Any], slots: Iterable[str]) -> None:
    """Removes the slots' values."""
    for slot in slots:
        state.pop(slot, None)


def choices_in(value: Any) -> dict[str, list[dict[str, Any]]]:
    """Choices as a tool returned them, or as they were kept; what is not of that form is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {str(slot): options_in(options) for slot, options in value.items()}


def options_in(value: Any) -> list[dict[str, Any]]:
    """One slot's choices; plain values are their own labels."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [
        dict(option) if isinstance(option, Mapping) else {"value": option, "label": str(option)}
        for option in value
        if not isinstance(option, Mapping) or "value" in option
    ]


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0
