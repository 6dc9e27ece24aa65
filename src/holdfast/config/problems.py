"""What is wrong in files that users write, by file and line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from holdfast.errors import ConfigError


class Problem(msgspec.Struct, frozen=True, order=True):
    """Something wrong in a file. ``line`` counts from 1; 0 is the file as a whole. A ``warning`` keeps nothing from working."""

    file: str
    line: int
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {'warning: ' if self.level == 'warning' else ''}{self.message}"


class Problems(ConfigError):
    """A file that cannot be used. ``problems``: everything that is wrong, by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
