"""What a kind of sensitive value is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Found(NamedTuple):
    """A value in a text: where it starts and ends, and the value in its plain form (digits without their gaps)."""

    start: int
    end: int
    value: str


def nothing(text: str) -> Iterable[Found]:
    """The `Kind.find` of a kind that cannot be told from other text."""
    return ()


def text_mask(value: str) -> str:
    """``***``, whatever it was."""
    return "***"


@dataclass(frozen=True)
class Kind:
    """One kind of sensitive value: what stands in its place, and how it is found in free text.

    Attributes:
        name: lower case; what config and `Sensitive` call it.
        mask: a value to what is shown of it. It is given whatever a field of this kind holds, also what is no such value.
        find: the values in a text, which is `plain`: full-width characters are ASCII. A value may begin anywhere; it does not go
            beyond a sentence or 256 characters, and what stands up to 64 characters before it may tell what it is.
        hint: a regular expression that fits (in the text as it was written) in, or within 4 characters before, every value that
            ``find`` finds; a text where it does not is not looked through. "" fits any text.
        reach: characters before a part of a text that ``find`` is given with it, 64 at the most.
    """

    name: str
    mask: Callable[[str], str] = text_mask
    find: Callable[[str], Iterable[Found]] = nothing
    hint: str = ""
    reach: int = 64
