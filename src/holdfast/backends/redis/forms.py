"""The two forms in which a server runs our Lua: as Functions (Redis 7.0), or, where there are none, as a script by EVALSHA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.backends.redis.library import LETTERS, Library, script_digest
from holdfast.backends.redis.wire import Arg


class Spelling(NamedTuple):
    """What stands before the key and behind the arguments of a call."""

    before: tuple[Arg, ...]
    behind: tuple[Arg, ...]

    def command(self, key: str, *args: Arg) -> Sequence[Arg]:
        """The whole call."""
        return (*self.before, key, *args, *self.behind)


class Form(NamedTuple):
    """How calls of our functions, by their letters, are said to a server.

    Attributes:
        name: ``functions`` or ``scripts``.
        load: the command that puts our Lua there.
        rights: the commands that a node's user needs for it. Only a script has to be loaded by the nodes.
        writes, reads: by letter, as it is said to a function that writes, or only reads.
    """

    name: str
    library: Library
    load: Sequence[Arg]
    rights: Sequence[str]
    writes: Mapping[str, Spelling]
    reads: Mapping[str, Spelling]


def functions_of(library: Library) -> Form:
    """FCALL and FCALL_RO. The server keeps them, and passes them on to its replicas."""
    names = {letter: library.function(letter) for letter in LETTERS}
    return Form(
        "functions",
        library,
        ("FUNCTION", "LOAD", library.code),
        ("fcall", "fcall_ro"),
        {letter: Spelling(("FCALL", name, 1), ()) for letter, name in names.items()},
        {letter: Spelling(("FCALL_RO", name, 1), ()) for letter, name in names.items()},
    )


def script_of(library: Library, reads: str = "EVALSHA") -> Form:
    """EVALSHA of the whole library; its last argument names the function. A restart or a failover loses it.

    Args:
        reads: the command for functions that only read: EVALSHA_RO (Redis 7.0) or EVALSHA.
    """
    digest = script_digest(library.script)
    return Form(
        "scripts",
        library,
        ("SCRIPT", "LOAD", library.script),
        tuple({"evalsha", reads.lower(), "script|load"}),
        {letter: Spelling(("EVALSHA", digest, 1), (letter,)) for letter in LETTERS},
        {letter: Spelling((reads, digest, 1), (letter,)) for letter in LETTERS},
    )
