"""Sensitive values, shown masked: ``138****1234``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from holdfast.assistant.fields import Path, SensitiveFields
from holdfast.config import Config, MaskingSection
from holdfast.errors import ConfigError
from holdfast.sensitive import Sensitive, kind_of, masked
from holdfast.sensitive.finding import detector_of, put
from holdfast.sensitive.plain import INVISIBLE, numerals_plain, plain
from holdfast.sessions.message import Message, ToolCall

_SEPARATORS: Final = re.compile(rf"[ \-.·]|{INVISIBLE.pattern}")
"""What may stand between the digits of a number."""
_GAP: Final = rf"(?:{_SEPARATORS.pattern}){{0,2}}"
_SMALL: Final = str.maketrans({"\u017f": "s", "\u0131": "i", "\u0130": "i"})
"""Letters that are equal to ASCII ones where case does not count, beside those that `str.lower` knows."""
_LEAST: Final = 2
"""Characters below which a known value is not looked for in texts: it would be found in half of them."""

_LEAST_DIGITS: Final = 7
"""Characters below which a number, or the key of a mapping, is none of the values that are looked for."""

_HOLDS_VALUES: Final = (Mapping, list, tuple, set, frozenset, Sensitive)
"""What has something sensitive in it though its own field is not."""

EVERYTHING: Final = "*"
"""In the config's lists of what is shown in clear."""

_LONGEST_BEGINNING: Final = 60
"""Characters of a known value by which a stream knows that it begins."""

_LEAST_GIVEN: Final = 4
"""Characters below which a known value, in what a tool is given, counts only where it is all that is given."""

_ANONYMOUS: Final = 5
"""Characters of a mask that tells nothing of its value, like ``***``; it is looked for as a whole only."""

Known = tuple[tuple[str, str, str], ...]
"""Known values, the longest first: what a text has to have in it (see `_looked_through`), the value, what stands there instead."""


class Masker:
    """Masks the state fields that the config calls sensitive, and their values wherever they turn up.

    Beside known values, user's texts are searched for whatever looks like a value of a configured kind: a phone number that was
    mistyped, or given up, is in no state field any more. A `Sensitive` is masked wherever it stands.

    ``sensitive``: kinds by field, as in ``[sensitive]``. ``settings``: what is looked for in texts, and who sees what in clear; see
    `MaskingSection`. ``clear``: kinds, and keys of ``sensitive``, that this masker leaves as they are.

    Raises `ConfigError` for a kind that is not there.
    """

    def __init__(
        self,
        sensitive: Mapping[str, str],
        settings: MaskingSection | None = None,
        *,
        clear: Collection[str] = (),
    ) -> None:
        self._sensitive = dict(_resolved(sensitive))
        self._settings = settings or MaskingSection()
        self._clear = frozenset(clear)
        everything = EVERYTHING in self._clear
        self._fields = SensitiveFields({}) if everything else SensitiveFields(self._sensitive).without(self._clear)
        detect = self._settings.detect
        looked_for = self._fields.kinds if detect is None else {kind_of(name).name for name in detect}
        self._detector = detector_of(() if everything else looked_for - self._clear)
        self._others: dict[frozenset[str], Masker] = {}

    @classmethod
    def of(cls, config: Config) -> Masker:
        """The one of a config."""
        return cls(config.sensitive, config.masking)

    def for_role(self, role: str) -> Masker:
        """What a caller of this role (``user``, ``operator``, ``admin``) is shown: ``[masking.clear] roles`` leaves some values as
        they are. Any other role sees none in clear."""
        return self.clearing({str(name): clear for name, clear in self._settings.clear.roles.items()}.get(role, ()))

    def for_tool(self, name: str, sees: Collection[str] = ()) -> Masker:
        """What a tool is given: in clear is what the config's ``[masking.clear] tools`` has for it, and what it declares to see."""
        return self.clearing((*self._settings.clear.tools.get(name, ()), *sees))

    def arguments(
        self, tool: str, sees: Collection[str], arguments: Mapping[str, Any], state: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a tool is called with: what it may not see is masked, and a `Sensitive` that it may see is its text."""
        masker = self.for_tool(tool, sees)
        known = masker.known(state)
        short = {value: mask for _, value, mask in known if len(value) < _LEAST_GIVEN}
        given = masker.with_known(arguments, tuple(one for one in known if len(one[1]) >= _LEAST_GIVEN))
        return {name: short.get(value, value) if isinstance(value, str) else value for name, value in given.items()}

    def clearing(self, clear: Collection[str]) -> Masker:
        """This one, with some kinds or fields in clear (``*``: all)."""
        wanted = frozenset(clear) | self._clear
        if wanted == self._clear:
            return self
        if wanted not in self._others:
            self._others[wanted] = Masker(self._sensitive, self._settings, clear=wanted)
        return self._others[wanted]

    def covers(self, name: str) -> bool:
        """Whether a field at the state's root is sensitive."""
        return self._fields.kind(name, ()) is not None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that are looked for in texts."""
        return tuple(kind.name for kind in self._detector.kinds)

    def accepted(self, text: str) -> str:
        """What a user wrote, as it is stored: masked where the config says ``before_store``."""
        return self._detector.mask(text) if self._settings.before_store else text

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
            values.update((spot.value, spot.kind) for spot in self._detector.find(text))
        ordered = sorted(values, key=len, reverse=True)
        return tuple((_needle(value), value, masked(values[value], value)) for value in ordered if len(value) >= _LEAST)

    def replaced(self, text: str, known: Known, *, detect: bool = False) -> str:
        """The text with known values masked; with ``detect`` also what looks like one."""
        if not text:
            return text
        if known:
            text = _without(text, known)
        return self._detector.mask(text) if detect else text

    def revealed(self, value: Any, state: Mapping[str, Any], *texts: str) -> Any:
        """A JSON-like value with masks replaced by what they stand for, for a tool that a model calls with what it was shown.

        A mask that fits two values stays: no tool gets one that was not meant.
        """
        values = {found: kind for kind, found in self._values(state)}
        for text in texts:
            values.update((spot.value, spot.kind) for spot in self._detector.find(text))
        behind: dict[str, list[str]] = {}
        for found, kind in values.items():
            behind.setdefault(masked(kind, found), []).append(found)
        return _revealed(value, {mask: found[0] for mask, found in behind.items() if len(found) == 1})

    def _data(self, value: Any, known: Known, path: Path = ()) -> Any:
        if isinstance(value, str):
            return self.replaced(value, known, detect=True)
        if isinstance(value, Sensitive):
            return value.reveal() if self._shows(value.kind) else str(value)
        if isinstance(value, Mapping):
            return {self._name(name, known): self._field(name, item, known, path) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._data(item, known, path) for item in value]
        if isinstance(value, int | Decimal) and len(text := str(value)) >= _LEAST_DIGITS:
            shown = self.replaced(text, known, detect=True)  # a phone number that some system keeps as a number
            return value if shown == text else shown
        return value

    def _field(self, name: Any, item: Any, known: Known, path: Path) -> Any:
        kind = self._fields.kind(name, path)
        return self._masked(kind, item) if kind is not None else self._data(item, known, self._below(path, name))

    def _below(self, path: Path, name: Any) -> Path:
        return (*path, str(name)) if self._fields.deep else path

    def _shows(self, kind: str) -> bool:
        return kind in self._clear or EVERYTHING in self._clear

    def _name(self, name: Any, known: Known) -> Any:
        return self.replaced(name, known, detect=True) if isinstance(name, str) and len(name) >= _LEAST_DIGITS else name

    def _masked(self, kind: str, value: Any) -> Any:
        if value is None or value == "":
            return value
        if isinstance(value, Mapping):
            return {name: self._masked(kind, item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(kind, item) for item in value]
        return str(value) if isinstance(value, Sensitive) else masked(kind, str(value))

    def _values(self, value: Any, kind: str | None = None, path: Path = ()) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping):
            for name, item in value.items():
                of_item = self._fields.kind(name, path) or kind
                if of_item is not None or isinstance(item, _HOLDS_VALUES):  # most of a state is neither
                    yield from self._values(item, of_item, self._below(path, name))
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                yield from self._values(item, kind, path)
        elif isinstance(value, Sensitive):
            if not self._shows(value.kind):
                yield value.kind, value.reveal()
        elif kind is not None and value is not None and not isinstance(value, bool | float | bytes):
            yield kind, str(value)


def _resolved(kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for field, kind in kinds.items():
        try:
            yield field, kind_of(kind).name
        except ConfigError as error:
            raise ConfigError(f"sensitive.{field}: {error}") from None


def _without(text: str, known: Known) -> str:
    """The text with known values masked."""
    flat = plain(text)
    through = _looked_through(flat)
    for needle, value, mask in known:
        if needle not in through:  # a user may have sent hundreds of numbers
            continue
        if spans := [(match.start(), match.end(), mask) for match in _pattern(value).finditer(flat)]:
            text = put(text, spans)
            flat = plain(text)
    return text


def unfinished(text: str, known: Known) -> int:
    """Where at the end of a text something starts that may become a known value; its length where nothing does."""
    place = len(text)
    for _, value, _ in known:
        tail = max(0, len(text) - 3 * len(value))
        for flat in {plain(text[tail:]), numerals_plain(text[tail:])}:
            if match := _beginning(value).search(flat):
                place = min(place, tail + match.start())
    return place


@lru_cache(1024)
def _beginning(value: str) -> re.Pattern[str]:
    """Fits the beginning of a value at the end of a text."""
    digits = _SEPARATORS.sub("", plain(value))
    parts = [re.escape(one) for one in (digits if _is_number(digits) else plain(value)[:_LONGEST_BEGINNING])]
    gap = _GAP if _is_number(digits) else ""
    pattern = ""
    for part in reversed(parts[1:]):
        pattern = rf"(?:{gap}{part}{pattern})?"
    return re.compile(rf"{parts[0]}{pattern}{gap}\Z", re.IGNORECASE)


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
        return re.compile(_GAP.join(re.escape(digit) for digit in digits))
    return re.compile(re.escape(plain(value)), re.IGNORECASE)
