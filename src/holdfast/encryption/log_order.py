"""Log entries that lie side by side have to be whole turns, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.encryption.envelope import Head, LogPlace
from holdfast.errors import CorruptRecord


def check_order(heads: Iterable[Head | None]) -> None:
    """Raises `CorruptRecord` where entries were moved, doubled or taken out. None is an entry in clear, of before encryption.

    The first ones may be the end of a turn. The counter that a turn was made on rises from turn to turn, because turns of a
    session never overlap. What updates added has none: their order is not known here.
    """
    before: LogPlace | None = None
    last, first = -1, True
    for head in heads:
        place = None if head is None else head.place
        if head is None or place is None:
            before, first = None, True  # what follows entries in clear cannot be compared with them
            continue
        same = before is not None and before.turn == place.turn
        if place.at and not first and not (same and before is not None and before.at == place.at - 1):
            raise CorruptRecord("the log's entries do not follow each other: one was moved, doubled or taken out")
        if place.counter:
            if place.counter < last or (place.counter == last and not (same and before and before.counter == last)):
                raise CorruptRecord("the log's turns are not in the order in which they ran: one was moved or doubled")
            last = place.counter
        before, first = place, False
