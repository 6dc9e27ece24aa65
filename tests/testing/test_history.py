"""The history checker reports every anomaly that it is fed, and nothing where nothing is wrong."""

from __future__ import annotations

import pytest

from holdfast.testing.history import AnomalyKind, History, Line, Operation, Result, check_history


def turn(turn_id: str) -> list[Line]:
    return [Line(turn_id, "input"), Line(turn_id, "reply", f"reply to {turn_id}".encode())]


def log(*turn_ids: str) -> list[Line]:
    return [line for turn_id in turn_ids for line in turn(turn_id)]


def sent(turn_id: str, base: int | None, result: Result = "committed") -> Operation:
    known = result in ("committed", "replayed")
    return Operation(turn_id, base, result, f"reply to {turn_id}".encode() if known else None)


GOOD = [sent("a", 0), sent("b", 1), sent("c", 2)]


def kinds(operations: list[Operation], lines: list[Line], count: int) -> set[AnomalyKind]:
    return {anomaly.kind for anomaly in check_history(operations, lines, count)}


def test_a_history_in_order_has_no_anomaly() -> None:
    assert check_history(GOOD, log("a", "b", "c"), 3) == []
    assert check_history([], [], 0) == []


def test_replays_unknown_and_rejected_turns_are_no_anomaly() -> None:
    operations = [
        sent("a", 0, "unknown"),
        sent("a", None, "replayed"),
        sent("b", 0, "unknown"),
        sent("b", 1, "unknown"),
        sent("c", 1, "rejected"),
        sent("c", 2),
        sent("d", 1, "rejected"),
        sent("e", 1, "unknown"),
    ]
    assert check_history(operations, log("a", "b", "c"), 3) == []


def test_the_collector_checks_what_it_collected() -> None:
    history = History()
    history.add("a", 0, "committed", b"reply to a")
    assert history.check(log("a"), 1) == []
    assert [anomaly.kind for anomaly in history.check([], 0)] == ["lost"]


def test_an_acknowledged_turn_that_is_not_there_is_lost() -> None:
    assert kinds(GOOD, log("a", "b"), 2) == {"lost"}
    assert kinds([sent("a", None, "replayed")], [], 0) == {"lost"}


def test_a_state_that_misses_an_increment_is_reported() -> None:
    assert kinds(GOOD, log("a", "b", "c"), 2) == {"lost-count"}


def test_a_turn_in_the_log_twice_is_a_duplicate() -> None:
    assert "duplicate" in kinds(GOOD, log("a", "b", "c", "b"), 4)


def test_a_turn_that_nobody_sent_is_a_phantom() -> None:
    assert kinds(GOOD, log("a", "b", "c", "x"), 4) == {"phantom"}


def test_a_rejected_turn_in_the_log_is_aborted_but_visible() -> None:
    assert kinds([*GOOD, sent("d", 3, "rejected")], log("a", "b", "c", "d"), 4) == {"aborted-but-visible"}


def test_a_turn_that_missed_the_one_before_it_has_a_stale_base() -> None:
    assert kinds([sent("a", 0), sent("b", 1), sent("c", 7)], log("a", "b", "c"), 3) == {"stale-base"}
    assert kinds([sent("a", 0), sent("b", 9, "unknown")], log("a", "b"), 2) == {"stale-base"}


def test_two_turns_on_one_base_are_a_fork() -> None:
    anomalies = check_history([sent("a", 0), sent("b", 1), sent("c", 1)], log("a", "b", "c"), 3)
    assert {anomaly.kind for anomaly in anomalies} == {"stale-base", "forked"}
    assert {anomaly.turn_id for anomaly in anomalies} == {"c"}


def test_a_fork_of_which_one_side_vanished_is_a_fork_and_a_loss() -> None:
    assert kinds([sent("a", 0), sent("b", 1), sent("c", 1)], log("a", "b"), 2) == {"forked", "lost"}


@pytest.mark.parametrize(
    "lines",
    [
        [Line("a", "input")],
        [Line("a", "reply", b"reply to a")],
        [Line("a", "input"), Line("b", "input"), Line("a", "reply"), Line("b", "reply")],
        [Line("a", "reply"), Line("a", "input")],
    ],
)
def test_an_input_and_its_reply_stand_together(lines: list[Line]) -> None:
    unknown = [sent("a", None, "unknown"), sent("b", None, "unknown")]
    replies = sum(line.kind == "reply" for line in lines)
    assert kinds(unknown, lines, replies) == {"half"}


def test_different_replies_of_one_turn_are_reported() -> None:
    operations = [sent("a", 0), Operation("a", None, "replayed", b"another")]
    assert kinds(operations, log("a"), 1) == {"reply-differs"}
    assert kinds([Operation("a", 0, "committed", b"not what the log has")], log("a"), 1) == {"reply-differs"}
