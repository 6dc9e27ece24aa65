"""Putting our Lua on a server, and finding out in which form the server runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from holdfast.backends.redis.forms import Form, functions_of, script_of
from holdfast.backends.redis.lane import Lane
from holdfast.backends.redis.library import Library
from holdfast.backends.redis.mapping import (
    INIT,
    AccessRefused,
    code_of,
    error_for,
    lacking,
    lacks_functions,
    unknown_command,
)
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import HoldfastError, ServerUnsuitable

_CALLS: Final = ("the command fcall", "the command evalsha_ro")


class Tried(NamedTuple):
    """What the probe function found: the form in which the server runs our Lua, and the commands that this user lacks."""

    form: Form
    missing: tuple[str, ...]
    loaded: bool
    """Was our Lua missing, and put there by this call?"""


async def load(lane: Lane, form: Form) -> None:
    """Puts our Lua on the server.

    Raises:
        ServerUnsuitable: it has other functions of our names.
        AccessRefused: this user may not load them.
    """
    _judge(await _error(lane, form.load), form.library, lane.where)


def _judge(text: str, library: Library, where: str) -> None:
    if not text or ("already exists" in text and library.name in text):
        return
    if "already exists" in text:
        raise ServerUnsuitable(f"Redis at {where} did not take Holdfast's functions: {text[:200]}")
    if code_of(text) == "NOPERM" or unknown_command(text):
        raise AccessRefused(
            f"Redis at {where} does not have this release's functions ({library.name}), and this user may not load "
            f"them: {INIT}"
        )
    raise error_for(text, write=False, where=where)


async def try_out(lane: Lane, library: Library, probe_key: str) -> Tried:
    """Calls the probe function, which tries every command that the others use. Loads our Lua only where it is missing.

    A server without FCALL, or one that does not let this user call it, is asked for EVALSHA.

    Raises:
        ServerUnsuitable: the server runs neither functions nor scripts, or has other functions of our names.
        AccessRefused: this user may not call the functions, or not load them where they are missing.
        StoreError: what else the server answered.
    """
    functions = functions_of(library)
    reply, loaded = await _probe(lane, functions, probe_key)
    if isinstance(reply, ReplyError):
        refused = str(reply)
        if not _without_functions(refused):
            raise error_for(refused, write=False, where=lane.where)
        script = script_of(library)
        reply, loaded = await _probe(lane, script, probe_key)
        if isinstance(reply, ReplyError):
            raise _neither(refused, str(reply), lane.where)
        by_reading = script_of(library, "EVALSHA_RO")
        text = await _error(lane, by_reading.reads["p"].command(probe_key))
        form: Form = script if _without_functions(text) else by_reading
        return Tried(form, _missing(reply), loaded)
    if isinstance(reply, bytes) and reply.decode() != library.name:
        raise ServerUnsuitable(
            f"Redis at {lane.where} has functions of {reply[:80].decode('utf-8', 'replace')} under the names of this "
            f"release's ({library.name}): FUNCTION DELETE them"
        )
    return Tried(functions, _missing(reply), loaded)


async def _probe(lane: Lane, form: Form, probe_key: str) -> tuple[Any, bool]:
    """The probe's reply (an error where the form is not to be had), and whether our Lua had to be loaded."""
    call = form.writes["p"].command(probe_key)
    reply = await lane.call(call, write=False)
    if not isinstance(reply, ReplyError) or not lacks_functions(str(reply)):
        return reply, False
    text = await _error(lane, form.load)
    if unknown_command(text):  # it calls functions, but takes none
        return ReplyError(text), False
    _judge(text, form.library, lane.where)
    return await lane.call(call, write=False), True


async def _error(lane: Lane, command: Sequence[Arg]) -> str:
    reply = await lane.call(command, write=False)
    return str(reply) if isinstance(reply, ReplyError) else ""


def _without_functions(text: str) -> bool:
    """Is it the call itself that the server does not know or allow, not something inside the function?"""
    return unknown_command(text) or (text.startswith("NOPERM") and lacking(text) in _CALLS)


def _missing(reply: Any) -> tuple[str, ...]:
    return tuple(name.decode().lower() for name in reply) if isinstance(reply, list) else ()


def _neither(functions: str, script: str, where: str) -> HoldfastError:
    if unknown_command(script) and unknown_command(functions):
        return ServerUnsuitable(
            f"Redis at {where} has neither FCALL nor EVALSHA: Holdfast needs one of them (Redis 6.2 or newer)"
        )
    scripts_are_off = unknown_command(script) or code_of(script) == code_of(functions)
    return error_for(functions if scripts_are_off else script, write=False, where=where)
