"""From what was understood to the values of a flow's slots: plain rules without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from holdfast.assistant.contract import Entity, Understanding
from holdfast.assistant.flows.frames import Frame
from holdfast.assistant.flows.schema import Flow, FlowSlot
from holdfast.understanding.entities.finding import find_entities
from holdfast.understanding.entities.patterns import id_cards

_TOKEN: Final = re.compile("[a-z]{4,}|[\u4e00-\u9fff]+")
_DIGITS: Final = {"pattern": 2, "number": 1, "phone": 4, "id_card": 6, "date": 1, "time": 1, "datetime": 1, "money": 1}
"""Digits from which on words look like an answer that went wrong."""


def given(
    understood: Understanding, flow: Flow, frame: Frame, state: Mapping[str, Any], words: str, now: datetime
) -> dict[str, Any]:
    """The slots that the user's words give a value to. ``words``: as they were written, for a slot that takes any text."""
    found: dict[str, Any] = {}
    named = mentioned(understood, flow)
    for name, slot in flow.slots.items():
        values = list(_values(name, slot, understood, flow, frame, words, named))
        if not values and slot.type == "datetime":
            values = list(_completed(name, understood, flow, frame, state, named, now))
        if not values and frame.choices.get(name) and named in (None, name):  # "another phone number" is no other order
            values = [chosen(understood, frame, name, state.get(name))]
        current = state.get(name)
        # "not 138..., it is 139...": of two values the one that is new
        best = next(
            (value for value in values if value is not None and value != current), values[0] if values else None
        )
        if best is not None:
            found[name] = best
    asked = flow.slots.get(frame.asking)
    corrected = (name for name, value in found.items() if name != frame.asking and state.get(name, value) != value)
    if asked is not None and asked.type == "text" and "correct" in understood.signals and any(corrected):
        found.pop(frame.asking, None)  # "no, the other order" is not the reason that was asked for
    return found


def days(understood: Understanding, flow: Flow, frame: Frame, state: Mapping[str, Any]) -> dict[str, str]:
    """Days that were told for slots of date and time which have no value yet, and no time was told with: "tomorrow"."""
    named = mentioned(understood, flow)
    return {
        name: day
        for name, slot in flow.slots.items()
        if slot.type == "datetime" and name not in state and _partly(name, understood, flow, frame, named)
        if (day := _first("date", understood)) and not _first("time", understood)
    }


def _completed(
    name: str,
    understood: Understanding,
    flow: Flow,
    frame: Frame,
    state: Mapping[str, Any],
    named: str | None,
    now: datetime,
) -> Iterator[str]:
    """A moment of which only the day or the time was told: the rest is as it was, or was told before; a time alone is the next."""
    if not _partly(name, understood, flow, frame, named):
        return
    before = _moment(state.get(name))
    day, clock = _first("date", understood), _first("time", understood)
    if not clock and not day and (frame.asking == name or named == name):
        numbers = [entity for entity in understood.entities if entity.kind == "number"]
        clock = next(filter(None, (_hour(entity, understood.text, named=named == name) for entity in numbers)), "")
        if clock and before is None and name not in frame.days:
            return  # "4" says nothing where not even the day is known
    clock = clock or (before.strftime("%H:%M") if before is not None and day else "")
    known = day or (before.date().isoformat() if before is not None else frame.days.get(name, ""))
    if clock and known:
        moment = datetime.combine(date.fromisoformat(known), time.fromisoformat(clock), now.tzinfo)
        yield moment.isoformat(timespec="seconds")
    elif clock:
        coming = datetime.combine(now.date(), time.fromisoformat(clock), now.tzinfo)
        yield (coming if coming > now else coming + timedelta(days=1)).isoformat(timespec="seconds")


def _partly(name: str, understood: Understanding, flow: Flow, frame: Frame, named: str | None) -> bool:
    """Whether a day or a time alone is for this slot, of those that could take it; a question ("open on Sunday?") tells nothing."""
    if "question" in understood.signals and "correct" not in understood.signals:
        return False
    if name in (frame.asking, named):
        return True
    rivals = (
        other for other, slot in flow.slots.items() if slot.type in ("date", "time", "datetime") and other != name
    )
    return named is None and not any(rivals)


def _first(kind: str, understood: Understanding) -> str:
    return next((str(entity.value) for entity in understood.entities if entity.kind == kind), "")


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def as_kept(name: str, slot: FlowSlot, value: Any, now: datetime) -> Any:
    """A value that a model, or an API, gave in words ("next Friday") as a slot of this type keeps it; None where it is none."""
    if not isinstance(value, str) or slot.type in ("text", "number", "yes_no"):
        return value
    if slot.type == "choice":
        if value in slot.values:
            return value
        lists = {
            name: {one: [word for words in names.values() for word in words] for one, names in slot.values.items()}
        }
        found = find_entities(value, (name,), now=now, lists=lists)
    elif slot.type == "pattern":
        found = find_entities(value, (name,), now=now, patterns={name: slot.pattern})
    elif slot.type == "id_card":
        return next((one for _, _, one in id_cards(value)), None)
    else:
        found = find_entities(value, _KINDS.get(slot.type, (slot.type,)), now=now)
    return _converted(slot.type, found[0].value) if found else None


def chosen(understood: Understanding, frame: Frame, name: str, current: Any) -> Any:
    """The value that a reference ("the other one", "the second", "the headphones") picks from the slot's choices, or None."""
    options = [option["value"] for option in frame.choices.get(name, ())]
    match understood.reference:
        case "other":
            others = [value for value in options if value != current]
            return others[0] if len(others) == 1 else None
        case "last":
            return options[-1] if options else None
        case "":
            asked = frame.asking == name or "correct" in understood.signals or frame.done
            return _by_label(understood.text.lower(), frame.choices[name], current) if asked else None
    place = int(understood.reference)
    return options[place - 1] if place <= len(options) else None


def mentioned(understood: Understanding, flow: Flow) -> str | None:
    """The slot that the user names ("the phone number is wrong")."""
    low = understood.text.lower()
    for name, slot in flow.slots.items():
        if any(_holds(low, word.lower()) for words in slot.called.values() for word in words):
            return name
    return None


def _holds(text: str, word: str) -> bool:
    """Whether the word stands in the text: "phone" is not in "headphones"."""
    return bool(re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text)) if word.isascii() else word in text


def attempted(slot: FlowSlot, understood: Understanding) -> bool:
    """Whether the words look like an answer that went wrong, rather than like something else."""
    digits = sum(character.isdigit() for character in understood.text)
    match slot.type:
        case "email":
            return "@" in understood.text
        case "text":
            return not understood.text
        case "phone":
            return digits >= _DIGITS["phone"]
        case "yes_no" | "choice":
            return False
    return digits >= _DIGITS[slot.type] and "question" not in understood.signals


def _values(
    name: str,
    slot: FlowSlot,
    understood: Understanding,
    flow: Flow,
    frame: Frame,
    words: str,
    named: str | None,
) -> Iterator[Any]:
    asked = frame.asking == name
    kinds = _KINDS.get(slot.type, (slot.type,))
    match slot.type:
        case "text":
            if "question" in understood.signals or not words.strip():
                return
            if named == name and (told := _told(words, flow.slots[name])):
                yield told
            elif asked:
                yield words.strip()
        case "yes_no":
            if asked and "affirm" in understood.signals:
                yield True
            elif asked and "deny" in understood.signals:
                yield False
        case "number":
            if asked or named == name:
                yield from (entity.value for entity in understood.entities if entity.kind == "number")
        case "pattern" | "choice":
            yield from (entity.value for entity in understood.entities if entity.kind == name)
        case kind:
            rivals = [other for other, one in flow.slots.items() if one.type == kind and other != name]
            if rivals and not asked and named != name:
                return  # two dates: the one that was asked for, or named
            if rivals and (frame.asking in rivals) and named != name:
                return
            for entity in understood.entities:
                if entity.kind in kinds and (value := _converted(kind, entity.value)) is not None:
                    yield value
                elif asked and kind == "time" and entity.kind == "number" and (hour := _hour(entity, understood.text)):
                    yield hour


def _hour(entity: Entity, text: str, *, named: bool = False) -> str:
    """The time that a number means which is the whole answer to "at what time?", or stands in "change the time to 4"."""
    value = entity.value
    alone = text.strip(" .!。！") == entity.text.strip()
    if named and re.search(r"\b(?:to|at)\s*$", text[: entity.start], re.IGNORECASE):
        alone = True
    if alone and isinstance(value, int) and 1 <= value <= _AFTERNOON:
        value += 12
    return f"{value:02}:00" if alone and isinstance(value, int) and 0 <= value < _HOURS else ""


_HOURS: Final = 24
_AFTERNOON: Final = 6
"""Hours up to this one are of the afternoon where nothing else is said, as in "at 3"."""
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("date", "datetime"),
    "time": ("time", "datetime"),
    "datetime": ("datetime",),
}


def _converted(kind: str, value: Any) -> Any:
    """An entity's value as a slot of this type keeps it: of a moment ("2026-12-04T15:00:00+08:00") its date or its time."""
    if kind == "date":
        return value[:10]
    if kind == "time":
        return value[11:16] if len(value) > 10 else value
    return value


def _told(words: str, slot: FlowSlot) -> str:
    """What "the address is ..." says; "" for "the address is wrong"."""
    called = "|".join(re.escape(word) for some in slot.called.values() for word in some)
    found = re.search(rf"(?:{called})\W*?(?:{_IS})\s*(\S.*)", words, re.IGNORECASE | re.DOTALL)
    return "" if found is None or _WRONG.match(found[1]) else found[1].strip()


_IS: Final = r"\b(?:should be|has to be|must be|is|to)\b|[:：]|应该是|改成|改为|换成|是|为"
_WRONG: Final = re.compile(r"(?:all |still )?(?:wrong|incorrect|not\b|no\b)|错|不|假", re.IGNORECASE)


def _by_label(low: str, options: list[dict[str, Any]], current: Any) -> Any:
    """The one option whose label shares the most words with the text; of two ("not the kettle, the lamp") the one that is new."""
    scores = [(len(_tokens(_label(option)) & _tokens(low)), option["value"]) for option in options]
    best = max((score for score, _ in scores), default=0)
    winners = [value for score, value in scores if score == best]
    if len(winners) == 2 and current in winners:
        winners.remove(current)
    return winners[0] if best and len(winners) == 1 else None


def _label(option: Mapping[str, Any]) -> str:
    label = option.get("label", "")
    return " ".join(str(text) for text in label.values()) if isinstance(label, Mapping) else str(label)


def _tokens(text: str) -> set[str]:
    found: set[str] = set()
    for token in _TOKEN.findall(text.lower()):
        found.update([token] if token.isascii() else [token[i : i + 2] for i in range(len(token) - 1)])
    return found
