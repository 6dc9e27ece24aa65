"""Calls to a backend, counted by operation and by what came of them."""

from __future__ import annotations

from asyncio import CancelledError
from bisect import bisect_left
from collections.abc import Iterator
from types import NoneType
from typing import Final

from holdfast.backends.records import (
    Absent,
    AlreadyThere,
    Busy,
    Committed,
    Conflict,
    EventChunks,
    Fenced,
    Gone,
    Granted,
    Listing,
    LogPage,
    Mismatch,
    Parked,
    Queued,
    Record,
    Rejected,
    Replay,
    Running,
    Seen,
    Signalled,
    StoredOutcome,
    Unchanged,
    Unresolvable,
    WrongUserFound,
)
from holdfast.errors import (
    InvalidInput,
    OutcomeUnknown,
    StoreClosed,
    StoreFull,
    StoreTimeout,
    StoreUnavailable,
    UnreadableRecord,
)
from holdfast.telemetry.timings import Timings

BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from a call to memory to one that ran into its deadline."""

RESUMED: Final = "resumed"
MERGED: Final = "merged"

Kind = object
"""What stands for a result: a reply's class, a bool, or one of the texts above."""

_OK: Final[dict[Kind, str]] = {NoneType: "ok", list: "ok", Listing: "ok"}
_HELD: Final[dict[Kind, str]] = {NoneType: "ok", Fenced: "fenced"}

REPLIES: Final[dict[str, dict[Kind, str]]] = {
    "load": {Record: "found", Unchanged: "unchanged", NoneType: "missing"},
    "commit": {
        Committed: "committed",
        MERGED: "merged",
        Seen: "seen",
        Conflict: "conflict",
        Fenced: "fenced",
        Gone: "gone",
        AlreadyThere: "exists",
        WrongUserFound: "wrong_user",
    },
    "delete": {True: "deleted", False: "missing"},
    "read_log": {LogPage: "found", NoneType: "missing"},
    "scan": _OK,
    "by_user": _OK,
    "begin": {
        Granted: "granted",
        RESUMED: "resumed",
        Replay: "replay",
        Running: "running",
        Queued: "queued",
        Parked: "parked",
        Busy: "busy",
        Mismatch: "mismatch",
        Absent: "absent",
        WrongUserFound: "wrong_user",
    },
    "record": _HELD,
    "renew": {**_HELD, Signalled: "signalled"},
    "signal": {tuple: "ok"},
    "park": {NoneType: "parked", bytes: "signalled", Fenced: "fenced"},
    "release": _OK,
    "resolve": {StoredOutcome: "applied", Rejected: "rejected", Unresolvable: "unresolvable"},
    "overdue": _OK,
    "append_events": _HELD,
    "read_events": {EventChunks: "ok"},
    "publish": _OK,
    "check": _OK,
}
"""Every operation of the contract, and the names of its results."""

ERRORS: Final[dict[type[BaseException], str]] = {
    OutcomeUnknown: "unknown",
    StoreUnavailable: "unavailable",
    StoreTimeout: "timeout",
    StoreFull: "full",
    UnreadableRecord: "unreadable",
    StoreClosed: "closed",
    InvalidInput: "invalid",
    CancelledError: "cancelled",
    BaseException: "error",
}
"""What a call may raise; of several that fit, the most derived one counts."""


class Calls(Timings):
    """The calls of one operation."""

    __slots__ = ("_names", "counts", "op")

    def __init__(self, op: str) -> None:
        super().__init__(BOUNDS)
        self.op = op
        self._names = REPLIES[op]
        self.counts: dict[Kind, int] = dict.fromkeys([*self._names, *ERRORS], 0)

    def done(self, kind: Kind, seconds: float) -> None:
        """Counts a call that was answered; ``kind`` is a key of `REPLIES`."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        try:
            self.counts[kind] += 1
        except KeyError:
            self.counts[kind] = 1

    def failed(self, error: BaseException, seconds: float) -> None:
        """Counts a call that raised. One that was cancelled took as long as its caller liked: no duration."""
        kind = next(known for known in type(error).__mro__ if known in ERRORS)
        self.counts[kind] += 1
        if kind is not CancelledError:
            self.add(seconds)

    def results(self) -> Iterator[tuple[str, int]]:
        """Names of results and their counts; also those that have not come yet, so that the first one is seen as a rise."""
        by_name: dict[str, int] = {}
        for kind, count in list(self.counts.items()):
            name = self._named(kind)
            by_name[name] = by_name.get(name, 0) + count
        yield from by_name.items()

    def result(self, name: str) -> int:
        """How often a result of this name came."""
        return sum(count for found, count in self.results() if found == name)

    def _named(self, kind: Kind) -> str:
        if kind in self._names:
            return self._names[kind]
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return ERRORS[kind]
        return kind.__name__.lower() if isinstance(kind, type) else str(kind)


class CallRecorder:
    """`Calls` by operation."""

    def __init__(self) -> None:
        self.ops = {op: Calls(op) for op in REPLIES}
