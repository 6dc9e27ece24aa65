"""The Lua functions that ship with this package, named after their text, so that releases share a server."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final

_PARTS: Final = ("head", "pages", "outcomes", "turns", "parking", "streams", "commit", "rates", "sessions")
_FOLDER: Final = files(__package__).joinpath("functions")
_SOURCE: Final = "\n".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in _PARTS)
_SCRIPT_END: Final = _FOLDER.joinpath("script.lua").read_text("utf-8")

LETTERS: Final = "".join(re.findall(r"^offer\('(\w)'", _SOURCE, re.MULTILINE))
"""What the functions are called; see functions/sessions.lua."""
PREFIX: Final = "holdfast_"
"""What the libraries of all releases begin with."""

_TRIES: Final = _SOURCE[_SOURCE.index("local tries = ") :].partition("\n  }\n")[0]
INNER: Final = tuple(sorted({"TIME", *re.findall(r"\{'([A-Z]+)'", _TRIES)}))
"""The commands that the functions call, as the probe function tries them."""


class Library:
    """One text of the functions.

    Attributes:
        publish: the command that sends a hint.
        tag: stands in every function's name.
        name: the library's name on the server.
        code: what FUNCTION LOAD takes.
        script: what SCRIPT LOAD takes, for servers without functions.
        sharded: for the servers of a Cluster.
    """

    def __init__(self, source: str, *, sharded: bool = False) -> None:
        self.sharded = sharded
        digest = hashlib.sha256(source.encode()).hexdigest()
        self.tag = digest[:4]
        self.name = f"{PREFIX}{digest[:16]}"
        named = source.replace("@tag@", self.tag).replace("@library@", self.name)
        self.code = f"#!lua name={self.name}\n" + named
        self.script = f"{named}\n{_SCRIPT_END}"

    def function(self, letter: str) -> str:
        """A function's name on the server."""
        return f"h{self.tag}{letter}"


SERVER: Final = Library(_SOURCE)
"""For a server of its own, and for Sentinel sets."""

CLUSTER: Final = Library(_SOURCE.replace("--@cluster@ ", "").replace("'PUBLISH'", "'SPUBLISH'"), sharded=True)
"""For Clusters: refuses while its slot is being moved (functions/sessions.lua), and publishes within the shard."""


def script_digest(script: str) -> str:
    """The name under which a server keeps a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
