"""What the sections of the file have in common: the types of values, and a section itself."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from holdfast.errors import MissingExtra
from holdfast.sessions.durations import milliseconds

try:
    import pydantic_settings  # noqa: F401  (asked for here, where it can be explained)
    from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
except ImportError as error:
    raise MissingExtra('holdfast.toml needs pydantic-settings: pip install "holdfast[server]"') from error

Language = Literal["zh", "en"]
SlotType = Literal["phone", "email", "number", "yes_no", "pattern", "text"]

PREFIX: Final = "HOLDFAST_"
"""Of every environment variable that is read here."""


def _seconds(value: Any) -> float:
    return milliseconds("duration", value) / 1000


def _compiles(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""Written as seconds or as text like ``"30s"``, ``"2h"``."""

SecondsOrOff = Annotated[float, BeforeValidator(lambda value: 0.0 if value in (0, "0") else _seconds(value))]
"""`Seconds`, or 0."""

Regex = Annotated[str, AfterValidator(_compiles)]
Localized = dict[Language, str]
"""A text in each language of the assistant."""

Phrases = dict[Language, tuple[str, ...]]


class Section(BaseModel):
    """A part of the tree: frozen, unknown keys refused, values never repeated in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?``, or the names that there are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(known))}"
