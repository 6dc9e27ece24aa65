"""The rights that a node's user needs on the server, as an ACL line; and whether a user has them, or far more.

Redis checks the commands inside a function against the user who calls it, so they are part of the line.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.forms import Form
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.library import INNER
from holdfast.backends.redis.mapping import code_of, lacking
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import ConfigError

_user_name = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII).fullmatch
_REFUSED_IN_ANY_CASE: Final = ("HGET",)
"""It has too few arguments: what was queued before it in a transaction is never run."""


def _sent(probe_key: str, *, sharded: bool) -> tuple[tuple[Arg, ...], ...]:
    """Every command that the client sends by itself, beside those of its form, as a call that would do no harm."""
    s = "S" if sharded else ""  # hints of a Cluster stay within their shard
    of_a_cluster: tuple[tuple[Arg, ...], ...] = (
        ("CLUSTER", "SLOTS"),
        ("CLUSTER", "NODES"),
        ("CLUSTER", "INFO"),
        ("CLUSTER", "COUNTKEYSINSLOT", 0),
        ("ASKING",),
    )
    return (
        *(of_a_cluster if sharded else ()),
        ("TIME",),
        ("HGET", probe_key, "m"),
        ("HGETALL", probe_key),
        ("LLEN", probe_key),
        ("LRANGE", probe_key, 0, 0),
        ("ZRANGE", probe_key, 0, 0),
        ("ZRANGEBYSCORE", probe_key, 0, 0),
        ("ZREVRANGEBYSCORE", probe_key, 0, 0),
        ("ZREM", probe_key, "-"),
        ("PING",),
        (f"{s}PUBLISH", probe_key, "probe"),
        (f"{s}SUBSCRIBE", probe_key),
        (f"{s}UNSUBSCRIBE", probe_key),
        ("WAIT", 0, 1),  # these two at durability=replicated, and behind Sentinels
        ("ROLE",),
    )


_AROUND: Final = ("multi", "exec", "client|setname", "info")
"""Around these; without INFO a node opens, and cannot see what the server would lose."""


def commands(form: Form, *, database: int = 0) -> tuple[str, ...]:
    """The commands of the line, sorted: all that functions and client use, and nothing else."""
    sharded = form.library.sharded
    own = {_name(args) for args in _sent("", sharded=sharded)}
    own |= {"spublish" if sharded and name == "PUBLISH" else name.lower() for name in INNER}
    return tuple(sorted({*own, *_AROUND, *form.rights, *(("select",) if database else ())}))


def _name(args: Sequence[Arg]) -> str:
    """A command as ACL rules name it."""
    return "|".join(str(part).lower() for part in args[: 2 if args[0] == "CLUSTER" else 1])


def acl_rules(form: Form, prefix: str, *, database: int = 0) -> tuple[str, ...]:
    """What follows the user's name and passwords in ``ACL SETUSER``."""
    keys = Keys(prefix).prefix  # checks it
    granted = [f"+{name}" for name in commands(form, database=database)]
    return ("resetchannels", f"~{keys}:*", f"&{keys}:*", *granted)


def acl_line(user: str, form: Form, prefix: str, *, database: int = 0) -> str:
    """The line for an administrator to run, with PASSWORD to be replaced."""
    return " ".join(("ACL SETUSER", user_name(user), "reset on >PASSWORD", *acl_rules(form, prefix, database=database)))


def user_name(user: str) -> str:
    """Checks the name of a Redis user."""
    if not _user_name(user):
        raise ConfigError(f"user {user[:40]!r} cannot be used: 1 to 64 letters, digits or any of _ . @ - are allowed")
    return user


def user_of(address: Address) -> str:
    """Whom a server's URL names; Redis's own default where it names nobody."""
    return address.login.username or "default"


async def missing_right(lane: Lane, probe_key: str, *, sharded: bool) -> str:
    """What the client sends and this user may not, like "the command zrange"; or "". No command but PING is run."""
    text = await _error(lane.read_atomic((("PING",),)))  # does a transaction itself go through?
    if code_of(text) in ("NOPERM", "EXECABORT"):  # the latter where EXEC itself is refused
        return lacking(text)
    return await _refused(lane, _sent(probe_key, sharded=sharded))


async def missing_right_of(form: Form, lane: Lane, probe_key: str) -> str:
    """The same for the commands by which this form reads, and is loaded where every node has to."""
    loads: tuple[Sequence[Arg], ...] = (("SCRIPT", "LOAD", ""),) if form.name == "scripts" else ()
    return await _refused(lane, (form.reads["l"].command(probe_key), *loads))


async def _refused(lane: Lane, queued: Sequence[Sequence[Arg]]) -> str:
    text = await _queued(lane, queued)
    return lacking(text) if code_of(text) == "NOPERM" else ""


_TOO_MUCH: Final[tuple[tuple[Arg, ...], ...]] = (
    ("KEYS", "holdfast-check-nothing"),
    ("SCAN", 0, "COUNT", 1),
    ("CONFIG", "GET", "databases"),
    ("EVAL", "return 1", 0),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("EXISTS", "holdfast-check-nothing"),
)
"""What a node's user should not be able to do. Nothing that would do harm if it were run after all."""


async def excess(lane: Lane) -> list[str]:
    """What this user may do though no node needs it: some commands, and keys outside the prefix. None of it is run."""
    return [
        "other keys" if command[0] == "EXISTS" else str(command[0])
        for command in _TOO_MUCH
        if "wrong number of arguments" in await _queued(lane, (command,))
    ]


async def _queued(lane: Lane, queued: Sequence[Sequence[Arg]]) -> str:
    """The first error of a transaction that can only fail: rights are checked as it is queued, and nothing of it is run."""
    return await _error(lane.read_atomic((*queued, _REFUSED_IN_ANY_CASE)))


async def _error(call: Awaitable[Any]) -> str:
    reply = await call
    return str(reply) if isinstance(reply, ReplyError) else ""
