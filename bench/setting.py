"""How thorough a run is, where its files go, and how it says what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from bench.dialogue import DATA

T = TypeVar("T")


class Setting(NamedTuple):
    """Passed to every benchmark.

    Attributes:
        quick: only to see that everything works; its times mean nothing.
        folder: for files; on the disk whose durability is measured.
        say: shows what is going on.
        data: the folder with the sets of real text.
        peers: which systems to compare with, where a benchmark does; none named means all.
    """

    quick: bool
    folder: Path
    say: Callable[[str], None]
    data: Path = DATA
    peers: tuple[str, ...] = ()

    def pick(self, full: T, quick: T) -> T:
        return quick if self.quick else full
