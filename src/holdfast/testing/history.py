"""Checks the history of concurrent turns: was anything lost, doubled, forked, torn or made up?

It needs no search, because every turn has a unique id and the log is append-only. The workload: each turn reads a counter
in the session's state, writes it back plus one, and logs its input and its reply, both naming the turn. `History`
collects what the callers saw; `check_history` compares it with what the store holds in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

Result = Literal["committed", "rejected", "unknown", "replayed"]
"""What the caller was told: applied now; not applied, and never will be; no answer; applied before."""

AnomalyKind = Literal[
    "lost",
    "lost-count",
    "duplicate",
    "phantom",
    "aborted-but-visible",
    "stale-base",
    "forked",
    "half",
    "reply-differs",
]
"""What can be wrong with a history.

* lost: the caller was told that the turn is in, and the log does not have it;
* lost-count: the counter in the final state is not the number of turns in the log;
* duplicate: in the log more than once;
* phantom: in the log, and nobody sent it;
* aborted-but-visible: the caller was told that it will never be in, and it is;
* stale-base: it read another count than the number of turns before it in the log;
* forked: two turns committed on the same count;
* half: an input without its reply right after it, or the reverse;
* reply-differs: two callers of one turn, or a caller and the log, hold different replies.
"""


class Operation(NamedTuple):
    """One caller's view of one turn; a turn that was sent several times has several.

    Attributes:
        turn_id: unique.
        base: the counter that the turn read, or None where the caller did not see it (a replay).
        result: what the caller was told.
        reply: the reply that the caller got, if any.
    """

    turn_id: str
    base: int | None
    result: Result
    reply: bytes | None = None


class Line(NamedTuple):
    """One entry of the final log."""

    turn_id: str
    kind: Literal["input", "reply"]
    reply: bytes = b""


class Anomaly(NamedTuple):
    """One thing that must not be."""

    kind: AnomalyKind
    turn_id: str
    detail: str


class History:
    """Collects operations while a workload runs."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, turn_id: str, base: int | None, result: Result, reply: bytes | None = None) -> None:
        """Notes what one caller of a turn saw. Note "unknown" before the call and the answer after it if it may die."""
        self.operations.append(Operation(turn_id, base, result, reply))

    def check(self, log: Sequence[Line], count: int) -> list[Anomaly]:
        """`check_history` of what was collected."""
        return check_history(self.operations, log, count)


def check_history(operations: Iterable[Operation], log: Sequence[Line], count: int) -> list[Anomaly]:
    """Everything that is wrong; an empty list if nothing is.

    Args:
        operations: what the callers saw.
        log: the final log, oldest first.
        count: the counter in the final state.
    """
    by_turn: dict[str, list[Operation]] = {}
    for operation in operations:
        by_turn.setdefault(operation.turn_id, []).append(operation)
    order = [line.turn_id for line in log if line.kind == "reply"]
    found = list(_half(log))
    if count != len(order):
        found.append(Anomaly("lost-count", "", f"the state counts {count} turns, the log has {len(order)}"))
    for turn_id, times in Counter(order).items():
        if times > 1:
            found.append(Anomaly("duplicate", turn_id, f"{times} times in the log"))
        if turn_id not in by_turn:
            found.append(Anomaly("phantom", turn_id, "in the log, and nobody sent it"))
    replies = {line.turn_id: line.reply for line in log if line.kind == "reply"}
    for turn_id, sent in by_turn.items():
        found += _promises(turn_id, sent, turn_id in replies)
        found += _replies(turn_id, sent, replies.get(turn_id))
    return found + list(_bases(by_turn, order))


def _half(log: Sequence[Line]) -> Iterator[Anomaly]:
    waiting: str | None = None
    for place, line in enumerate(log):
        if line.kind == "input":
            if waiting is not None:
                yield Anomaly("half", waiting, f"no reply after the input, before entry {place}")
            waiting = line.turn_id
        else:
            if waiting != line.turn_id:
                yield Anomaly("half", line.turn_id, f"the reply at entry {place} does not follow its input")
                if waiting is not None:
                    yield Anomaly("half", waiting, f"no reply after the input, before entry {place}")
            waiting = None
    if waiting is not None:
        yield Anomaly("half", waiting, "no reply after the input, at the end")


def _promises(turn_id: str, sent: Sequence[Operation], logged: bool) -> Iterator[Anomaly]:
    results = {operation.result for operation in sent}
    if results & {"committed", "replayed"} and not logged:
        yield Anomaly("lost", turn_id, "acknowledged, and not in the log")
    if results == {"rejected"} and logged:
        yield Anomaly("aborted-but-visible", turn_id, "every caller was told that it is not in, and it is")


def _replies(turn_id: str, sent: Sequence[Operation], logged: bytes | None) -> Iterator[Anomaly]:
    told = {operation.reply for operation in sent if operation.reply is not None}
    if logged is not None:
        told.add(logged)
    if len(told) > 1:
        yield Anomaly("reply-differs", turn_id, f"{len(told)} replies: {sorted(told)!r:.200}")


def _bases(by_turn: dict[str, list[Operation]], order: Sequence[str]) -> Iterator[Anomaly]:
    """Each turn in the log must have read exactly the turns before it."""
    place = {turn_id: number for number, turn_id in reversed(list(enumerate(order)))}
    on_base: dict[int, str] = {}
    for turn_id, sent in by_turn.items():
        sure = {operation.base for operation in sent if operation.result == "committed"} - {None}
        maybe = {operation.base for operation in sent if operation.result == "unknown"} - {None}
        if turn_id in place and (sure or maybe) and place[turn_id] not in (sure or maybe):
            bases = sorted(base for base in sure or maybe if base is not None)
            yield Anomaly("stale-base", turn_id, f"turn number {place[turn_id]} in the log, made on {bases}")
        for base in sure:
            if base is not None and on_base.setdefault(base, turn_id) != turn_id:
                yield Anomaly("forked", turn_id, f"made on {base}, as {on_base[base]} was")
