"""A session's named values, decoded when they are read and compared when they are committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from holdfast.backends.records import Change, Field
from holdfast.errors import LimitExceeded
from holdfast.sessions.codec import Codec
from holdfast.sessions.ids import checked_text

_IMMUTABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})
_NO_FIELDS: Final[dict[str, Field]] = {}


class State(MutableMapping[str, Any]):
    """A mapping of names to values that knows what was changed since it was loaded.

    Values are decoded on first reading. A change inside a list or a dict counts too: encoded values are compared. A value
    whose type cannot be stored is refused where it is assigned, with the path to it.
    """

    __slots__ = ("_base", "_codec", "_max_keys", "_removed", "_values", "_written")

    def __init__(self, codec: Codec, base: dict[str, Field] = _NO_FIELDS, *, max_keys: int = 1000) -> None:
        self._codec = codec
        self._base = base
        self._max_keys = max_keys
        self._values: dict[str, Any] = {}
        self._written: set[str] = set()
        self._removed: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            if name in self._removed:
                raise
        value = self._values[name] = self._codec.decode(self._base[name].value)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._codec.checked(value, checked_text("state key", name))
        self._values[name] = value
        self._written.add(name)
        self._removed.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._values.pop(name, None)
        self._written.discard(name)
        if name in self._base:
            self._removed.add(name)

    def __contains__(self, name: object) -> bool:
        return name in self._values or (name in self._base and name not in self._removed)

    def __iter__(self) -> Iterator[str]:
        for name in self._base:
            if name not in self._removed:
                yield name
        for name in self._values:
            if name not in self._base:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"State({sorted(self)})"  # names only: values may be sensitive

    def replace(self, values: Mapping[str, Any]) -> None:
        """Makes the state exactly ``values``."""
        for name in [name for name in self if name not in values]:
            del self[name]
        self.update(values)

    def changes(self) -> list[Change]:
        """What a commit has to write: fields whose encoded value differs from the one loaded.

        Raises `UnsupportedValue` or `LimitExceeded` for a value that cannot be stored.
        """
        if not self._values and not self._removed:
            return []
        found = [Change(name, None, self._base[name].counter) for name in self._removed]
        for name, value in self._values.items():
            if name not in self._written and type(value) in _IMMUTABLE:
                continue
            encoded = self._codec.encode(value, name)
            stored = self._base.get(name)
            if stored is None:
                found.append(Change(name, encoded, 0))
            elif not self._codec.same(stored.value, encoded):
                found.append(Change(name, encoded, stored.counter))
        if found and len(self._base) + len(self._values) > self._max_keys and len(self) > self._max_keys:
            raise LimitExceeded(f"the state has {len(self)} keys, more than max_keys={self._max_keys}")
        return found
