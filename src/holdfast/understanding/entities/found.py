"""What is found in a text, and which of two finds that overlap stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec


class Found(msgspec.Struct, frozen=True):
    """A value, and where it stands.

    Attributes:
        kind: ``number``, ``money``, ``phone``, ``email``, ``date``, ``time``, ``datetime``, or the name of a list or pattern.
        value: JSON-like; see `find_entities` for each kind.
        text: the words themselves, as they were written.
        start, end: half-open offsets into the text, in characters.
        grain: of a date or time, how exact it is: ``second``, ``minute``, ``hour``, ``part`` (of a day), ``day``,
            ``weekend``, ``week``, ``month`` or ``year``; "" for other kinds.
    """

    kind: str
    value: Any
    text: str
    start: int
    end: int
    grain: str = ""


def resolved(found: Iterable[Found]) -> tuple[Found, ...]:
    """In order of place, without overlaps: the longest stays, of equally long ones the first.

    One and the same span may be several things (an order number that looks like a phone number): then all of them stay, but
    for a bare ``number``.
    """
    taken: dict[tuple[int, int], list[Found]] = {}
    items = list(found)
    covered = bytearray(max((item.end for item in items), default=0))
    for item in sorted(items, key=lambda item: (item.start - item.end, item.kind == "number", item.start)):
        span = (item.start, item.end)
        if (same := taken.get(span)) is not None:
            if item.kind != "number" and all((item.kind, item.value) != (other.kind, other.value) for other in same):
                same.append(item)
        elif not (covered[item.start] or covered[item.end - 1]):  # what is taken is as long or longer: ends suffice
            covered[item.start : item.end] = b"\1" * (item.end - item.start)
            taken[span] = [item]
    return tuple(item for span in sorted(taken) for item in taken[span])
