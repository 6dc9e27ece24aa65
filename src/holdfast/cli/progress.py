"""A progress bar on stderr, where that is a terminal; elsewhere nothing."""

from __future__ import annotations

import sys
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from holdfast.cli.output import console


class Progress:
    """Counts things (``total`` None: it is not known how many), or with ``of_bytes`` a part of a file."""

    def __init__(self, what: str, total: int | None, *, of_bytes: bool = False) -> None:
        amount = TaskProgressColumn() if of_bytes else MofNCompleteColumn()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            amount,
            console=console(errors=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bars.add_task(what, total=total)

    def step(self) -> None:
        """One more."""
        self._bars.advance(self._task)

    def at(self, done: int) -> None:
        """So far."""
        self._bars.update(self._task, completed=done)

    def add(self, more: int) -> None:
        """So many more, of a total that is an estimate."""
        self._bars.advance(self._task, more)

    def says(self, what: str) -> None:
        """Another text before the bar."""
        self._bars.update(self._task, description=what)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()
