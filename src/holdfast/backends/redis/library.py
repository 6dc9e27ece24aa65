"""The Lua functions that ship with this package, named after their text, so that releases share a server."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

_PARTS: Final = ("head", "outcomes", "turns", "commit", "sessions")
_FOLDER: Final = files(__package__).joinpath("functions")
_SOURCE: Final = "\n".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in _PARTS)


class Library:
    """One text of the functions.

    Attributes:
        publish: the command that sends a hint.
        tag: stands in every function's name.
        name: the library's name on the server.
        code: what FUNCTION LOAD takes.
    """

    def __init__(self, source: str, publish: str = "PUBLISH") -> None:
        self.publish = publish
        digest = hashlib.sha256(source.encode()).hexdigest()
        self.tag = digest[:4]
        self.name = f"holdfast_{digest[:16]}"
        self.code = f"#!lua name={self.name}\n" + source.replace("@tag@", self.tag)

    def function(self, letter: str) -> str:
        """A function's name on the server."""
        return f"h{self.tag}{letter}"


SERVER: Final = Library(_SOURCE)
"""For a server of its own, and for Sentinel sets."""

CLUSTER: Final = Library(_SOURCE.replace("--@cluster@ ", "").replace("'PUBLISH'", "'SPUBLISH'"), "SPUBLISH")
"""For Clusters: refuses while its slot is being moved (functions/sessions.lua), and publishes within the shard."""
