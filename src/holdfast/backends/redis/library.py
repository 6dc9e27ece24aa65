"""The Lua functions that ship with this package, named after their text, so that releases share a server."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final

_PARTS: Final = ("head", "outcomes", "turns", "commit", "sessions")
_FOLDER: Final = files(__package__).joinpath("functions")
_SOURCE: Final = "\n".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in _PARTS)
_DIGEST: Final = hashlib.sha256(_SOURCE.encode()).hexdigest()

TAG: Final = _DIGEST[:4]
"""Stands in every function's name."""
PREFIX: Final = "holdfast_"
"""What the libraries of all releases begin with."""
LIBRARY: Final = f"{PREFIX}{_DIGEST[:16]}"
"""The library's name on the server."""
CODE: Final = f"#!lua name={LIBRARY}\n" + _SOURCE.replace("@tag@", TAG).replace("@library@", LIBRARY)
"""What FUNCTION LOAD takes."""
SCRIPT: Final = _SOURCE + "\n" + _FOLDER.joinpath("script.lua").read_text("utf-8")
"""What SCRIPT LOAD takes, for servers without functions."""

_TRIES: Final = _SOURCE[_SOURCE.index("local tries = ") :].partition("\n  }\n")[0]
INNER: Final = tuple(sorted({"TIME", *re.findall(r"\{'([A-Z]+)'", _TRIES)}))
"""The commands that the functions call, as the probe function tries them."""


def function(letter: str) -> str:
    """A function's name on the server."""
    return f"h{TAG}{letter}"


def script_digest(script: str) -> str:
    """The name under which a server keeps a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
