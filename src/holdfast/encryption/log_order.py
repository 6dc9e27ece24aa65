"""Log entries that lie side by side have to be whole turns, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.encryption.envelope import LogPlace
from holdfast.errors import CorruptRecord


def check_order(places: Iterable[LogPlace | None]) -> None:
    """Raises `CorruptRecord` where entries were moved, doubled or taken out. None is an entry in clear, of before encryption.

    The first ones may be the end of a turn. A turn's own counter rises from turn to turn, because turns of a session never
    overlap; entries that a turn did not make (an update's) have none.
    """
    before: LogPlace | None = None
    last = -1
    for first, place in _marked(places):
        if place is None:
            before = None
            continue
        if place.at:
            follows = before is not None and before.turn == place.turn and before.at == place.at - 1
            if not follows and not first:
                raise CorruptRecord("the log's entries do not follow each other: one was moved, doubled or taken out")
        if place.counter:
            same = before is not None and before.turn == place.turn and before.counter == place.counter
            if place.counter < last or (place.counter == last and not same):
                raise CorruptRecord("the log's turns are not in the order in which they ran: one was moved or doubled")
            last = place.counter
        before = place


def _marked(places: Iterable[LogPlace | None]) -> Iterable[tuple[bool, LogPlace | None]]:
    first = True
    for place in places:
        yield first, place
        first = place is None  # what follows entries in clear cannot be compared with them
