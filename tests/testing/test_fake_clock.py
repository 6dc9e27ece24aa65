"""The fake clock moves when it is told to, and not before."""

from __future__ import annotations

from holdfast.backends.clock import Clock
from holdfast.testing.clock import FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(5_000)
    assert [clock(), clock()] == [5_000, 5_000]
    clock.advance(1.5)
    assert clock() == 6_500
    clock.advance_ms(1)
    assert clock() == 6_501
    clock.advance(-1)
    assert clock() == 5_501


def test_a_third_of_a_second_is_whole_milliseconds() -> None:
    clock = FakeClock(0)
    clock.advance(1 / 3)
    assert clock() == 333


def test_it_is_a_backends_clock() -> None:
    clock: Clock = FakeClock()
    assert clock() > 1_700_000_000_000
