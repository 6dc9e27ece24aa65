"""Redis's error replies as Holdfast's errors: what happened, and what to do about it."""

from __future__ import annotations

import re
from typing import Final

from holdfast.errors import (
    CorruptRecord,
    FutureFormat,
    OutcomeUnknown,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

_REFUSED: Final[dict[str, str]] = {
    "LOADING": "it is still loading its data; try again shortly",
    "BUSY": "it is busy with a long script; look at SLOWLOG, and at SCRIPT KILL or FUNCTION KILL",
    "READONLY": "it is a replica; point the URL at the primary",
    "MASTERDOWN": "it is a replica without its primary; point the URL at the primary",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write asks for; bring them back",
    "CLUSTERDOWN": "its cluster is down; look at CLUSTER INFO",
    "MOVED": "another node of its Cluster has this key; write redis+cluster:// if the URL says redis://",
    "ASK": "it is moving this slot to another node; try again shortly",
    "TRYAGAIN": "it is moving this slot to another node; try again shortly",
    "NOAUTH": "it asks for a password; put user and password into the URL",
    "WRONGPASS": "it refused the user or password in the URL",
    "NOPROTO": "it does not speak this protocol version; Redis 6.2 or newer is needed",
    "DENIED": "it runs in protected mode; set a password, or bind it to this network",
    "EXECABORT": "it refused a part of a transaction",
    "UNKILLABLE": "it is busy with a script that has written; wait for its end",
}
INIT: Final = "run `holdfast store init URL` with an administrator's user"
"""Who can put the functions there, and set up a user's rights."""
RIGHTS: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"})
"""Error codes that mean: wrong user, password or ACL."""


class AccessRefused(StoreUnavailable):
    """User, password, certificate or rights are wrong; trying again will not help. At open it becomes a `ConfigError`."""


def code_of(text: str) -> str:
    """An error reply's first word; Redis 7.0 says "ERR" where a function lacks a right."""
    return "NOPERM" if text.startswith("ERR The user executing the script can't") else text.split(" ", 1)[0]


def lacking(text: str) -> str:
    """What a NOPERM reply says that the user may not use: a command by its name, keys or channels."""
    if (command := re.search(r"'([\w|-]+)' command", text)) is not None:
        return f"the command {command[1].lower()}"
    if "channel" in text:
        return "the channels <prefix>:*"
    return "the keys <prefix>:*" if "key" in text else "a command inside a function"


def unknown_command(text: str) -> bool:
    """Did the server answer that it has no such command (or subcommand), or that it was renamed away?"""
    return text.lower().startswith(("err unknown command", "err unknown subcommand"))


def lacks_functions(text: str) -> bool:
    """Did the server answer that it does not have our functions, or our script? Nothing was applied then."""
    return text.startswith(("ERR Function not found", "NOSCRIPT"))


def error_for(text: str, *, write: bool, where: str, subject: str = "") -> StoreError:
    """The error that a reply ``text`` stands for.

    Args:
        write: was it a call that writes? An error from its middle leaves its outcome unknown.
        where: the server's address.
        subject: whose call it was, like ``session 's-1'``.
    """
    code = code_of(text)
    about = f"{subject}: " if subject else ""
    if code == "HFCORRUPT" or code == "WRONGTYPE" or "data string too short" in text:
        what = text[10:].split(" script:")[0] if code == "HFCORRUPT" else "a key holds something else"
        return CorruptRecord(f"{about}the stored record is damaged ({what}); restore it from a backup, or delete it")
    if code == "HFFORMAT":
        return FutureFormat(f"{about}written in a format that this release does not know; upgrade this node")
    if code == "OOM":
        return StoreFull(f"{about}Redis at {where} is out of memory (maxmemory): raise it, or delete sessions")
    if code == "MISCONF":
        return StoreFull(
            f"{about}Redis at {where} refuses writes since it cannot save to disk: free space, see its log"
        )
    if code == "NOPERM":
        return AccessRefused(
            f"{about}Redis at {where} refused the call (NOPERM): this user lacks a right (ACL), {lacking(text)}; "
            "`holdfast store init URL` prints the rights that it needs"
        )
    if (why := _REFUSED.get(code)) is not None:
        kind = AccessRefused if code in RIGHTS else StoreUnavailable
        return kind(f"{about}Redis at {where} refused the call ({code}): {why}")
    if lacks_functions(text):
        return StoreUnavailable(
            f"{about}Redis at {where} has lost Holdfast's functions and did not take them again: {INIT}"
        )
    if write and ("@user_function" in text or "@user_script" in text):
        return OutcomeUnknown(f"{about}Redis at {where} failed inside a write: {text[:200]}")
    return StoreError(f"{about}Redis at {where} answered: {text[:200]}")
