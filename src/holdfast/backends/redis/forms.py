"""The two forms in which a server runs our Lua: as Functions (Redis 7.0), or, where there are none, as a script by EVALSHA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from holdfast.backends.redis import library
from holdfast.backends.redis.wire import Arg


class Form(Protocol):
    """How a call, given as (function's name, 1, key, arguments...), is said to the server."""

    name: str
    load: Sequence[Arg]
    """The command that puts our Lua there."""
    rights: Sequence[str]
    """The commands that a node's user needs for it. Only a script has to be loaded by the nodes."""

    def write(self, call: Sequence[Arg]) -> Sequence[Arg]:
        """The command for a function that writes."""
        ...

    def read(self, call: Sequence[Arg]) -> Sequence[Arg]:
        """The command for a function that only reads."""
        ...


class Functions:
    """FCALL and FCALL_RO. The server keeps them, and passes them on to its replicas."""

    name = "functions"
    load: Sequence[Arg] = ("FUNCTION", "LOAD", library.CODE)
    rights: Sequence[str] = ("fcall", "fcall_ro")

    def write(self, call: Sequence[Arg]) -> Sequence[Arg]:
        return ("FCALL", *call)

    def read(self, call: Sequence[Arg]) -> Sequence[Arg]:
        return ("FCALL_RO", *call)


class Script:
    """EVALSHA of the whole library; its last argument names the function. A restart or a failover loses it.

    Args:
        reads: the command for functions that only read: EVALSHA_RO (Redis 7.0) or EVALSHA.
    """

    name = "scripts"
    load: Sequence[Arg] = ("SCRIPT", "LOAD", library.SCRIPT)

    def __init__(self, reads: str = "EVALSHA") -> None:
        self._reads = reads
        self.rights: Sequence[str] = tuple({"evalsha", reads.lower(), "script|load"})
        self._digest = library.script_digest(library.SCRIPT)

    def write(self, call: Sequence[Arg]) -> Sequence[Arg]:
        return ("EVALSHA", self._digest, *call[1:], str(call[0])[-1])

    def read(self, call: Sequence[Arg]) -> Sequence[Arg]:
        return (self._reads, self._digest, *call[1:], str(call[0])[-1])


FUNCTIONS: Final = Functions()
