"""Days counted from a day. Weeks run from Monday to Sunday. What falls outside the calendar raises ValueError or OverflowError."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

_RECENT: Final = 30
"""Days for which a date without a year that has just passed is taken for the one that passed."""


def day_of_week(today: date, weeks: int, weekday: int) -> date:
    """``weekday`` (0 is Monday) in this calendar week (``weeks`` 0), the next (1), the last (-1)."""
    return today + timedelta(days=7 * weeks + weekday - today.weekday())


def coming(today: date, weekday: int) -> date:
    """The next such weekday; today counts."""
    return today + timedelta(days=(weekday - today.weekday()) % 7)


def latest(today: date, weekday: int) -> date:
    """The last such weekday before today."""
    return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)


def month_start(today: date, months: int) -> date:
    """The first of this month (0), the next (1), the last (-1)."""
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return date(year, month + 1, 1)


def plus_months(day: date, months: int) -> date:
    """The same day of another month, or that month's last."""
    first = month_start(day, months)
    return min(first + timedelta(days=day.day - 1), month_end(first))


def month_end(day: date) -> date:
    """The last day of the month."""
    return month_start(day, 1) - timedelta(days=1)


def of_some_year(today: date, month: int, day: int) -> date:
    """A date without its year: the next one, today counts; one that passed at most 30 days ago is that one."""
    for year in range(today.year - 1, today.year + 9):  # the 29th of February comes at least every eight years
        try:
            candidate = date(year, month, day)
        except ValueError:
            if day != 29 or month != 2:
                raise
            continue
        if candidate >= today - timedelta(days=_RECENT):
            return candidate
    raise ValueError(f"no {month}-{day}")


def of_some_month(today: date, day: int) -> date:
    """A day of the month without its month: the next one, today counts."""
    for months in range(3):
        first = month_start(today, months)
        candidate = first + timedelta(days=day - 1)
        if candidate >= today and candidate.month == first.month:
            return candidate
    raise ValueError(f"no {day}")
