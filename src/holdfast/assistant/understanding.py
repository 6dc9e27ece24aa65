"""Understanding by rules: word lists, patterns, and the triggers of the tasks. Works offline, in Chinese and English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from holdfast.assistant.contract import Entity, Signal, Understanding
from holdfast.assistant.lexicon import CHINESE, LAST, ORDINAL_VALUES, ORDINALS, OTHER, SIGNALS, WORDS
from holdfast.config import Language, SlotSection, TaskSection
from holdfast.turns.turn import Turn
from holdfast.understanding.entities.patterns import emails, phones, plain

_NUMBER = re.compile(r"(?<![\d.A-Za-z])-?\d{1,15}(?:\.\d{1,6})?(?![\d.A-Za-z])")
_LONGEST = 4_000
"""Characters of an input that are looked at; what a user wants stands in the first few."""


class RuleUnderstanding:
    """`Understand` by rules."""

    def __init__(self, tasks: Sequence[TaskSection], languages: Sequence[Language]) -> None:
        self._languages = tuple(languages)
        self._triggers = [
            (task.name, re.compile("|".join(_trigger(phrase) for phrase in phrases)))
            for task in tasks
            if (phrases := [phrase for language in languages for phrase in task.triggers.get(language, ())])
        ]
        self._patterns = [(slot.name, re.compile(slot.pattern, re.IGNORECASE)) for slot in _pattern_slots(tasks)]

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
        for _, pattern in self._patterns:
            low = pattern.sub(" ", low)
        for start, end, _ in emails(low):
            low = low[:start] + " " * (end - start) + low[end:]
        if "en" in self._languages and WORDS.search(low):
            return "en"
        return next((language for language in self._languages if language == before), self._languages[0])

    def _entities(self, text: str) -> Iterator[Entity]:
        for _, _, value in phones(text):
            yield Entity("phone", value)
        for _, _, value in emails(text):
            yield Entity("email", value)
        for name, pattern in self._patterns:
            for match in pattern.finditer(text):
                groups = [group for group in match.groups() if group]
                yield Entity(name, ("".join(groups) if groups else match[0]).upper())
        for match in _NUMBER.finditer(text):
            yield Entity("number", float(match[0]) if "." in match[0] else int(match[0]))


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


def _pattern_slots(tasks: Iterable[TaskSection]) -> list[SlotSection]:
    return list({slot.name: slot for task in tasks for slot in task.slots if slot.type == "pattern"}.values())
