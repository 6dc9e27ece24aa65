"""The Lua functions that ship with this package, named after their text, so that releases share a server."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

_PARTS: Final = ("head", "pages", "outcomes", "turns", "commit", "sessions")
_FOLDER: Final = files(__package__).joinpath("functions")
_SOURCE: Final = "\n".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in _PARTS)
_DIGEST: Final = hashlib.sha256(_SOURCE.encode()).hexdigest()

TAG: Final = _DIGEST[:4]
"""Stands in every function's name."""
LIBRARY: Final = f"holdfast_{_DIGEST[:16]}"
"""The library's name on the server."""
CODE: Final = f"#!lua name={LIBRARY}\n" + _SOURCE.replace("@tag@", TAG)
"""What FUNCTION LOAD takes."""


def function(letter: str) -> str:
    """A function's name on the server."""
    return f"h{TAG}{letter}"
