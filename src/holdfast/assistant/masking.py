"""Sensitive values, shown masked: ``138****1234``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from holdfast.config import MaskKind
from holdfast.sessions.message import Message, ToolCall
from holdfast.understanding.entities.patterns import Span, bank_cards, emails, id_cards, phones, plain


def mask_phone(value: str) -> str:
    """``138****1234``: three digits in front, four behind; of a short number two and two."""
    value = re.sub(r"[^\d+]", "", plain(value))
    if len(value) >= 11:
        return f"{value[:3]}****{value[-4:]}"
    return f"{value[:2]}****{value[-2:]}" if len(value) >= 7 else "****"


def mask_email(value: str) -> str:
    """``j***@example.com``."""
    name, at, host = value.partition("@")
    return f"{name[:1]}***@{host}" if at and name else "***"


def mask_id_card(value: str) -> str:
    """``110***********002X``."""
    return f"{value[:3]}***********{value[-4:]}" if len(value) >= 15 else "***"


def mask_bank_card(value: str) -> str:
    """``**** 1234``."""
    digits = re.sub(r"\D", "", plain(value))
    return f"**** {digits[-4:]}" if len(digits) >= 12 else "****"


def mask_text(value: str) -> str:
    """``***``, whatever it was."""
    return "***"


MASKS: Final[Mapping[MaskKind, Callable[[str], str]]] = {
    "phone": mask_phone,
    "email": mask_email,
    "id_card": mask_id_card,
    "bank_card": mask_bank_card,
    "text": mask_text,
}
_FINDERS: Final[Mapping[MaskKind, Callable[[str], Iterator[Span]]]] = {
    "id_card": id_cards,
    "bank_card": bank_cards,
    "email": emails,
    "phone": phones,
}
_NOTHING_IN: Final = re.compile(r"[^\d@]*")
"""ASCII in which there is no value of any kind: most names and words in what is noted of a turn."""
_SEPARATORS: Final = re.compile(r"[ \-.·]")
"""What may stand between the digits of a number."""
_SMALL: Final = str.maketrans({"\u017f": "s", "\u0131": "i", "\u0130": "i"})
"""Letters that are equal to ASCII ones where case does not count, beside those that `str.lower` knows."""
_LEAST: Final = 2
"""Characters below which a known value is not looked for in texts: it would be found in half of them."""

_LEAST_DIGITS: Final = 7
"""Characters below which a number, or the key of a mapping, is none of the values that are looked for."""

_ANONYMOUS: Final = 5
"""Characters of a mask that tells nothing of its value, like ``***``; it is looked for as a whole only."""

Known = tuple[tuple[str, str, str], ...]
"""Known values, the longest first: what a text has to have in it (see `_looked_through`), the value, what stands there instead."""


class Masker:
    """Masks the state fields that the config calls sensitive, and their values wherever they turn up.

    A field counts at any depth of the state. Beside known values, user's texts are searched for whatever looks like a value of
    a configured kind: a phone number that was mistyped, or given up, is in no state field any more.
    """

    def __init__(self, sensitive: Mapping[str, MaskKind]) -> None:
        self._fields = dict(sensitive)
        self._finders = [(kind, find) for kind, find in _FINDERS.items() if kind in self._fields.values()]

    def state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state as it may be shown: sensitive fields masked, and their values inside other fields too."""
        masked: dict[str, Any] = self._data(dict(state), self.known(state))
        return masked

    def data(self, value: Any, state: Mapping[str, Any]) -> Any:
        """Any JSON-like value (a tool's arguments, a log record), masked likewise. ``state``: whose values are known."""
        return self._data(value, self.known(state))

    def with_known(self, value: Any, known: Known) -> Any:
        """As `data`, for many values of one turn: what is `known` is found once."""
        return self._data(value, known)

    def text(self, text: str, state: Mapping[str, Any], *, detect: bool = True) -> str:
        """A text without sensitive values; ``detect=False`` masks only those that the state knows."""
        return self.replaced(text, self.known(state), detect=detect)

    def message(self, message: Message, state: Mapping[str, Any]) -> Message:
        """A message as it may be shown. In what the assistant says, only known values are masked: a document that it quotes
        may have numbers of its own."""
        known = self.known(state)
        return msgspec.structs.replace(
            message,
            content=self.replaced(message.content, known, detect=message.role != "assistant"),
            tool_calls=tuple(
                ToolCall(call.id, call.name, self._data(call.arguments, known)) for call in message.tool_calls
            ),
            metadata=self._data(message.metadata, known),
        )

    def known(self, state: Mapping[str, Any], *texts: str) -> Known:
        """What is to be masked in texts: the state's sensitive values, and those that are found in ``texts``."""
        values = {value: kind for kind, value in self._values(state)}
        for text in texts:
            flat = plain(text)
            for kind, find in self._finders:
                values.update((value, kind) for _, _, value in find(flat))
        ordered = sorted(values, key=len, reverse=True)
        return tuple((_needle(value), value, MASKS[values[value]](value)) for value in ordered if len(value) >= _LEAST)

    def replaced(self, text: str, known: Known, *, detect: bool = False) -> str:
        """The text with known values masked; with ``detect`` also what looks like one."""
        if not self._fields or not text:
            return text
        flat = plain(text)
        through = _looked_through(flat) if known else ""
        for needle, value, mask in known:
            if needle not in through:  # a user may have sent hundreds of numbers
                continue
            if spans := [(match.start(), match.end(), mask) for match in _pattern(value).finditer(flat)]:
                text = _put(text, spans)
                flat = plain(text)
        if detect and not (text.isascii() and _NOTHING_IN.fullmatch(text)):
            for kind, find in self._finders:
                if spans := [(start, end, MASKS[kind](value)) for start, end, value in find(flat)]:
                    text = _put(text, spans)
                    flat = plain(text)
        return text

    def revealed(self, value: Any, state: Mapping[str, Any], *texts: str) -> Any:
        """A JSON-like value with masks replaced by what they stand for, for a tool that a model calls with what it was shown.

        A mask that fits two values stays: no tool gets one that was not meant.
        """
        if not self._fields:
            return value
        values = {found: kind for kind, found in self._values(state)}
        for text in texts:
            flat = plain(text)
            for kind, find in self._finders:
                values.update((found, kind) for _, _, found in find(flat))
        behind: dict[str, list[str]] = {}
        for found, kind in values.items():
            behind.setdefault(MASKS[kind](found), []).append(found)
        return _revealed(value, {mask: found[0] for mask, found in behind.items() if len(found) == 1})

    def _data(self, value: Any, known: Known) -> Any:
        if isinstance(value, str):
            return self.replaced(value, known, detect=True)
        if isinstance(value, Mapping):
            return {
                self._name(name, known): self._masked(self._fields[name], item)
                if name in self._fields
                else self._data(item, known)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._data(item, known) for item in value]
        if isinstance(value, int | Decimal) and len(text := str(value)) >= _LEAST_DIGITS:
            shown = self.replaced(text, known, detect=True)  # a phone number that some system keeps as a number
            return value if shown == text else shown
        return value

    def _name(self, name: Any, known: Known) -> Any:
        return self.replaced(name, known, detect=True) if isinstance(name, str) and len(name) >= _LEAST_DIGITS else name

    def _masked(self, kind: MaskKind, value: Any) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, Mapping):
            return {name: self._masked(kind, item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(kind, item) for item in value]
        return MASKS[kind](str(value))

    def _values(self, value: Any, kind: MaskKind | None = None) -> Iterator[tuple[MaskKind, str]]:
        if isinstance(value, Mapping):
            for name, item in value.items():
                yield from self._values(item, self._fields.get(name, kind))
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                yield from self._values(item, kind)
        elif kind is not None and value is not None and not isinstance(value, bool | float | bytes):
            yield kind, str(value)


def _revealed(value: Any, behind: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        if value in behind:
            return behind[value]
        for mask, found in behind.items():
            if len(mask) > _ANONYMOUS:
                value = value.replace(mask, found)
        return value
    if isinstance(value, Mapping):
        return {name: _revealed(item, behind) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item, behind) for item in value]
    return value


def _needle(value: str) -> str:
    """What is in `_looked_through` of every text in which the value's pattern finds it."""
    digits = _SEPARATORS.sub("", plain(value))
    if _is_number(digits):
        return digits
    return plain(value).lower() if value.isascii() else ""


def _looked_through(flat: str) -> str:
    return f"{_SEPARATORS.sub('', flat)}\n{flat.translate(_SMALL).lower()}"


def _is_number(digits: str) -> bool:
    return len(digits) >= 7 and digits.lstrip("+").isdigit()


@lru_cache(1024)
def _pattern(value: str) -> re.Pattern[str]:
    digits = _SEPARATORS.sub("", plain(value))
    if _is_number(digits):
        return re.compile(r"[ \-.·]{0,2}".join(re.escape(digit) for digit in digits))
    return re.compile(re.escape(plain(value)), re.IGNORECASE)


def _put(text: str, spans: Iterable[Span]) -> str:
    parts, at = [], 0
    for start, end, mask in sorted(spans):
        if start >= at:
            parts += [text[at:start], mask]
            at = end
    return "".join([*parts, text[at:]])
