"""What `begin` and `commit` answer in place of what was asked for, by the letters of the functions."""

from __future__ import annotations

from typing import Any, Final

from holdfast.backends.records import (
    Absent,
    AlreadyThere,
    BeginReply,
    Busy,
    CommitReply,
    Conflict,
    Fenced,
    Gone,
    Mismatch,
    Parked,
    Queued,
    Replay,
    Running,
    Seen,
    SessionKey,
    WrongUserFound,
)
from holdfast.backends.redis.keys import subject_of
from holdfast.backends.redis.packing import read_stored

_COMMIT_REPLIES: Final[dict[bytes, CommitReply]] = {
    b"G": Gone(),
    b"W": WrongUserFound(),
    b"F": Fenced(),
    b"N": AlreadyThere(),
}


def refused_commit(reply: Any, key: SessionKey) -> CommitReply:
    """Why a commit was not applied."""
    if reply.__class__ is list:
        if reply[0] == b"X":
            return Conflict(tuple(name[1:].decode() for name in reply[1]) if len(reply) > 1 else ())
        return Seen(read_stored(reply, subject_of(key)))
    return _COMMIT_REPLIES[reply]


def not_granted(reply: Any, head: bytes, key: SessionKey) -> BeginReply:
    """What became of a begin that was not granted. ``head``: the reply's first part."""
    match head[:1]:
        case b"P":
            return Replay(read_stored(reply, subject_of(key)))
        case b"R":
            return Running(int.from_bytes(head[1:9], "little"))
        case b"Q":
            return Queued(int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little"))
        case b"Z":
            return Parked(int.from_bytes(head[1:9], "little"))
        case b"Y":
            return Busy(int.from_bytes(head[1:9], "little"))
        case b"M":
            return Mismatch()
        case b"A":
            return Absent()
        case _:
            return WrongUserFound()
