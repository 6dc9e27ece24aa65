"""From what was understood to the values of a task's slots: plain rules without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.assistant.contract import Understanding
from holdfast.assistant.position import Position
from holdfast.config import SlotSection

_TOKEN: Final = re.compile("[a-z]{4,}|[\u4e00-\u9fff]+")


def given(understood: Understanding, position: Position, state: Mapping[str, Any], words: str) -> dict[str, Any]:
    """The slots that the user's words give a value to. ``words``: as they were written, for a slot that takes any text."""
    values: dict[str, Any] = {}
    named = mentioned(understood, position)
    for slot in position.task.slots:
        found = list(_values(slot, understood, position, words))
        if (
            not found and position.choices.get(slot.name) and named in (None, slot)
        ):  # "another phone number" is no other order
            found = [chosen(understood, position, slot, state.get(slot.name))]
        current = state.get(slot.name)
        # "not 138..., it is 139...": of two values the one that is new
        best = next((value for value in found if value is not None and value != current), found[0] if found else None)
        if best is not None:
            values[slot.name] = best
    return values


def chosen(understood: Understanding, position: Position, slot: SlotSection, current: Any) -> Any:
    """The value that a reference ("the other one", "the second", "the headphones") picks from the slot's choices, or None."""
    options = [option["value"] for option in position.choices.get(slot.name, ())]
    match understood.reference:
        case "other":
            others = [value for value in options if value != current]
            return others[0] if len(others) == 1 else None
        case "last":
            return options[-1] if options else None
        case "":
            asked = position.asking == slot.name or "correct" in understood.signals or position.done
            return _by_label(understood.text.lower(), position.choices[slot.name]) if asked else None
    place = int(understood.reference)
    return options[place - 1] if place <= len(options) else None


def mentioned(understood: Understanding, position: Position) -> SlotSection | None:
    """The slot that the user names ("the phone number is wrong")."""
    low = understood.text.lower()
    return next(
        (
            slot
            for slot in position.task.slots
            if any(word.lower() in low for words in slot.called.values() for word in words)
        ),
        None,
    )


def attempted(slot: SlotSection, understood: Understanding) -> bool:
    """Whether the words look like an answer that went wrong, rather than like something else."""
    digits = sum(character.isdigit() for character in understood.text)
    match slot.type:
        case "phone":
            return digits >= 4
        case "email":
            return "@" in understood.text
        case "pattern" | "number":
            return digits >= 2 and "question" not in understood.signals
        case "text":
            return not understood.text
    return False


def _values(slot: SlotSection, understood: Understanding, position: Position, words: str) -> Iterator[Any]:
    asked = position.asking == slot.name
    match slot.type:
        case "text":
            if asked and words.strip() and "question" not in understood.signals:
                yield words.strip()
        case "yes_no":
            if asked and "affirm" in understood.signals:
                yield True
            elif asked and "deny" in understood.signals:
                yield False
        case "number":
            if asked:
                yield from (entity.value for entity in understood.entities if entity.kind == "number")
        case kind:
            name = slot.name if kind == "pattern" else kind
            yield from (entity.value for entity in understood.entities if entity.kind == name)


def _by_label(low: str, options: list[dict[str, Any]]) -> Any:
    """The one option whose label shares the most words with the text."""
    scores = [(len(_tokens(_label(option)) & _tokens(low)), option["value"]) for option in options]
    best = max(score for score, _ in scores)
    winners = [value for score, value in scores if score == best]
    return winners[0] if best and len(winners) == 1 else None


def _label(option: Mapping[str, Any]) -> str:
    label = option.get("label", "")
    return " ".join(str(text) for text in label.values()) if isinstance(label, Mapping) else str(label)


def _tokens(text: str) -> set[str]:
    found: set[str] = set()
    for token in _TOKEN.findall(text.lower()):
        found.update([token] if token.isascii() else [token[i : i + 2] for i in range(len(token) - 1)])
    return found
