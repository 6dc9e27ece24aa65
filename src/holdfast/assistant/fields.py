"""Which fields of a state are sensitive: by name at any depth, or by their path."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

_DOT: Final = "\x1f"
"""Between the names of a path: a name may have dots."""
Path = tuple[str, ...]


class SensitiveFields:
    """Kinds by field. A key is a name, which counts at any depth, or a dotted path from the state's root, in which ``*`` is any
    levels, also none. A list's items are no level."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._keys = dict(fields)
        self._names = {key: kind for key, kind in fields.items() if "." not in key}
        self._paths = [(_pattern(key), kind) for key, kind in fields.items() if "." in key]

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def kinds(self) -> set[str]:
        """Those that some field has."""
        return set(self._keys.values())

    @property
    def deep(self) -> bool:
        """Whether a path has to be known to tell."""
        return bool(self._paths)

    def kind(self, name: object, path: Path) -> str | None:
        """The kind of the field of this name, below this path; None where it is not sensitive."""
        found = self._names.get(name)  # type: ignore[call-overload]  # a key of a mapping may be anything
        if found is not None or not self._paths or not isinstance(name, str):
            return found  # type: ignore[no-any-return]
        whole = _DOT.join((*path, name))
        return next((kind for pattern, kind in self._paths if pattern.fullmatch(whole)), None)

    def without(self, clear: Collection[str]) -> SensitiveFields:
        """These but for some, named by key or by kind."""
        return SensitiveFields(
            {key: kind for key, kind in self._keys.items() if key not in clear and kind not in clear}
        )


def _pattern(key: str) -> re.Pattern[str]:
    pattern = ""
    for place, part in enumerate(key.split(".")):
        if part == "*":
            pattern += rf"(?:[^{_DOT}]*{_DOT})*"
        else:
            pattern += re.escape(part) + (_DOT if place < key.count(".") else "")
    return re.compile(pattern, re.DOTALL)
