"""All kinds at once: what is sensitive in a text, and the text without it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from holdfast.sensitive.context import REACH
from holdfast.sensitive.kind import Kind, nothing
from holdfast.sensitive.plain import INVISIBLE, spoken_plain, widths_plain, without_invisible
from holdfast.sensitive.registry import kind_of, kinds
from holdfast.sensitive.segments import next_cut


class Spotted(NamedTuple):
    """A sensitive value in a text: where it starts and ends, of which kind, and the value in its plain form."""

    start: int
    end: int
    kind: str
    value: str


_FAR: Final = 1 << 60
_NEAR: Final = 4
"""Characters before a part in which a hint still counts for it."""


class Detector:
    """Looks for values of some kinds. One serves all texts; it keeps nothing of them."""

    def __init__(self, looked_for: Sequence[Kind]) -> None:
        self.kinds = tuple(kind for kind in looked_for if kind.find is not nothing)
        self._masks = {kind.name: kind.mask for kind in self.kinds}
        self._hints = [re.compile(hint, re.DOTALL) for hint in dict.fromkeys(kind.hint for kind in self.kinds)]
        places = {hint.pattern: place for place, hint in enumerate(self._hints)}
        self._kinds = [(order, places[kind.hint], kind) for order, kind in enumerate(self.kinds)]

    def find(self, text: str) -> list[Spotted]:
        """What there is, in order of place; no two overlap."""
        for hint in self._hints:
            if hint.search(text) is not None:
                break
        else:
            return []  # most texts, by far
        spans = [[match.span() for match in hint.finditer(text)] for hint in self._hints]
        near = [_Near(one) for one in spans]
        any_near = _Near(sorted(span for one in spans for span in one))
        wide, hidden = widths_plain(text), INVISIBLE.search(text) is not None
        found: list[Spotted] = []
        start = 0
        while start < len(text):
            end = next_cut(text, start, whole=True) or len(text)
            if any_near.reaches(start - _NEAR, end):
                hinted = [one.reaches(start - _NEAR, end) for one in near]
                found += self._found(wide, start, end, hinted, hidden)
            start = end
        return found

    def mask(self, text: str) -> str:
        """The text with masks in place of values; the very same object where there are none."""
        spots = self.find(text)
        return put(text, ((spot.start, spot.end, self.shown(spot)) for spot in spots)) if spots else text

    def shown(self, spot: Spotted) -> str:
        """What stands in its place."""
        return self._masks[spot.kind](spot.value)

    def part(self, text: str, start: int, end: int) -> list[Spotted]:
        """What begins and ends between two cuts (see `next_cut`). Nothing but this and what stands right before is looked at."""
        first = max(0, start - REACH)
        hinted = []
        for hint in self._hints:
            spans = (match.span() for match in hint.finditer(text, first))
            hinted.append(any(begin < end and stop > start - _NEAR for begin, stop in spans))
        if True not in hinted:
            return []
        return self._found(widths_plain(text), start, end, hinted, INVISIBLE.search(text) is not None)

    def _found(self, wide: str, start: int, end: int, hinted: list[bool], hidden: bool) -> list[Spotted]:
        offset = max(0, start - REACH)
        written, places = without_invisible(wide[offset:end]) if hidden else (wide[offset:end], None)
        flat = spoken_plain(written)
        found = []
        begin = start - offset if places is None else bisect_left(places, start - offset)
        for order, place, kind in self._kinds:
            if not hinted[place]:
                continue
            skipped = max(0, begin - kind.reach)
            for one in kind.find(flat[skipped:]):
                left, right = one.start + skipped, one.end + skipped
                if left >= begin and right > left:
                    if places is not None:
                        left, right = places[left], places[right - 1] + 1
                    found.append((left - right, order, Spotted(left + offset, right + offset, kind.name, one.value)))
        if len(found) < 2:
            return [spot for _, _, spot in found]
        return _apart(spot for _, _, spot in sorted(found))


class _Near:
    """Spans in order of place, asked for places in order."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._spans = [*spans, (_FAR, _FAR)]
        self._at = 0

    def reaches(self, start: int, end: int) -> bool:
        """Whether one of them has something between two places."""
        spans = self._spans
        while spans[self._at][1] <= start:
            self._at += 1
        return spans[self._at][0] < end


def _apart(spots: Iterable[Spotted]) -> list[Spotted]:
    """Those that come first, without what overlaps them, by place."""
    kept: list[Spotted] = []
    for spot in spots:
        if all(spot.end <= other.start or spot.start >= other.end for other in kept):
            kept.append(spot)
    return sorted(kept)


def put(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with other words in these places, which are in order."""
    parts, at = [], 0
    for start, end, mask in spans:
        if start >= at:
            parts += [text[at:start], mask]
            at = end
    return "".join([*parts, text[at:]]) if parts else text


@lru_cache(64)
def _detector(looked_for: tuple[Kind, ...]) -> Detector:
    return Detector(looked_for)


def detector_of(names: Collection[str] | None = None) -> Detector:
    """The detector of some kinds, or of all that there are. Raises `ConfigError` for a kind that nobody knows."""
    known = kinds()
    if names is None:
        return _detector(tuple(known.values()))
    chosen = {kind_of(name).name for name in names}
    return _detector(tuple(kind for kind in kinds().values() if kind.name in chosen))


def find(text: str, looked_for: Collection[str] | None = None) -> list[Spotted]:
    """The sensitive values in a text, of some kinds or of all: ``find("call 13800138000", ["phone"])``."""
    return detector_of(looked_for).find(text)


def mask(text: str, looked_for: Collection[str] | None = None) -> str:
    """The text with masks in place of its sensitive values, of some kinds or of all."""
    return detector_of(looked_for).mask(text)


Masking = Callable[[str], str]
"""What makes a text one that may be shown."""

__all__: Final = ["Detector", "Masking", "Spotted", "detector_of", "find", "mask", "put"]
