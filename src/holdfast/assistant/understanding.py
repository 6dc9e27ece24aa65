"""Understanding by rules: word lists, patterns, and the triggers of the tasks. Works offline, in Chinese and English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from holdfast.assistant.contract import Entity, Signal, Understanding
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.lexicon import CHINESE, LAST, ORDINAL_VALUES, ORDINALS, OTHER, SIGNALS, WORDS
from holdfast.config import Language
from holdfast.turns.turn import Turn
from holdfast.understanding.entities.finding import find_entities
from holdfast.understanding.entities.lists import ValueList
from holdfast.understanding.entities.patterns import emails, id_cards, plain

_FOUND_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("date", "datetime"),
    "time": ("time", "datetime"),
    "datetime": ("date", "time", "datetime"),
    "money": ("money",),
    "id_card": ("id_card",),
}
"""The kinds of values that a slot's type takes, beside those that are always looked for."""
_LONGEST: Final = 4_000
"""Characters of an input that are looked at; what a user wants stands in the first few."""


class RuleUnderstanding:
    """`Understand` by rules."""

    def __init__(self, flows: FlowSet, languages: Sequence[Language], now: Callable[[], datetime]) -> None:
        self._now = now
        self._languages = tuple(languages)
        self._triggers = [
            (program.name, re.compile("|".join(_trigger(phrase) for phrase in phrases)))
            for program in flows.startable
            if (phrases := [phrase for language in languages for phrase in program.flow.triggers.get(language, ())])
        ]
        self._patterns, self._lists, kinds = _wanted(flows)
        self._kinds = (*kinds, *self._patterns, *self._lists)
        self._id_cards = "id_card" in kinds

    async def understand(self, turn: Turn, before: Understanding | None) -> Understanding:
        """See `Understand.understand`."""
        text = plain(unicodedata.normalize("NFC", turn.text[:_LONGEST])).strip()
        low = text.lower().replace("’", "'")
        return Understanding(
            text=text,
            language=self._language(low, turn.state.get("language")),
            signals=frozenset(_signals(low)),
            flow=next((name for name, trigger in self._triggers if trigger.search(low)), ""),
            entities=tuple(self._entities(text)),
            reference=_reference(low),
        )

    def _language(self, low: str, before: Any) -> Language:
        """Chinese where there is any, English where there are words (a code or a number is neither), else as before."""
        if "zh" in self._languages and CHINESE.search(low):
            return "zh"
        for pattern in self._patterns.values():
            low = pattern.sub(" ", low)
        for start, end, _ in emails(low):
            low = low[:start] + " " * (end - start) + low[end:]
        if "en" in self._languages and WORDS.search(low):
            return "en"
        return next((language for language in self._languages if language == before), self._languages[0])

    def _entities(self, text: str) -> Iterator[Entity]:
        found = find_entities(text, self._kinds, now=self._now(), lists=self._lists, patterns=self._patterns)
        for one in found:
            yield Entity(one.kind, one.value, one.text, one.start, one.end)
        if self._id_cards:
            for start, end, value in id_cards(text):
                yield Entity("id_card", value, text[start:end], start, end)


def _wanted(flows: FlowSet) -> tuple[dict[str, re.Pattern[str]], dict[str, ValueList], frozenset[str]]:
    """The patterns and lists of all slots by name, those of one name together, and the kinds of values that slots have."""
    patterns: dict[str, str] = {}
    values: dict[str, dict[str, list[str]]] = {}
    kinds = {"phone", "email", "number"}
    for name, slot in flows.slots():
        if slot.type == "pattern":
            patterns[name] = (
                f"{patterns[name]}|{slot.pattern}" if patterns.get(name, slot.pattern) != slot.pattern else slot.pattern
            )
        elif slot.type == "choice":
            names = values.setdefault(name, {})
            for value, words in slot.values.items():
                names.setdefault(value, []).extend(word for one in words.values() for word in one)
        else:
            kinds.update(_FOUND_AS.get(slot.type, ()))
    return (
        {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()},
        {name: ValueList(name, one) for name, one in values.items()},
        frozenset(kinds),
    )


def _signals(low: str) -> Iterator[Signal]:
    for signal, pattern in SIGNALS.items():
        if pattern.search(low) if signal in ("correct", "question") else pattern.match(low):
            yield signal


def _reference(low: str) -> str:
    if OTHER.search(low):
        return "other"
    if LAST.search(low):
        return "last"
    ordinal = ORDINALS.search(low)
    return str(ORDINAL_VALUES[next(filter(None, ordinal.groups()))]) if ordinal else ""


def _trigger(phrase: str) -> str:
    parts = (re.escape(part.strip().lower()) for part in phrase.split("*"))
    joined = r".{0,12}?".join(part for part in parts if part)
    return rf"\b{joined}\b" if joined.isascii() else joined
