"""What an administrator does once for a server and a release: functions, and a user for the nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from holdfast.backends.redis.address import Address
from holdfast.backends.redis.forms import Form
from holdfast.backends.redis.health import info
from holdfast.backends.redis.keys import Keys
from holdfast.backends.redis.library import PREFIX
from holdfast.backends.redis.loading import try_out
from holdfast.backends.redis.mapping import AccessRefused, error_for
from holdfast.backends.redis.node import Node
from holdfast.backends.redis.open import library_of, probe_of, topology_of
from holdfast.backends.redis.rights import acl_line, acl_rules, user_name, user_of
from holdfast.backends.redis.urls import parse
from holdfast.backends.redis.wire import Arg, ReplyError
from holdfast.errors import ConfigError, StoreError


class Initialised(NamedTuple):
    """What was done to one server.

    Attributes:
        where: its address.
        form: ``functions`` or ``scripts``.
        library: this release's library.
        loaded: was it missing, and loaded now?
        line: the ACL line for the nodes' user.
        applied: was the user created or changed?
        pruned: was the other release's library deleted?
        notes: what remains to be done.
    """

    where: str
    form: str
    library: str
    loaded: bool
    line: str
    applied: bool
    pruned: bool
    notes: tuple[str, ...]


class NewUser(NamedTuple):
    """The nodes' user: its name, and its password where it gets a new one. ``create`` it, or only print the line."""

    name: str
    password: str = ""
    create: bool = False


async def init_servers(
    url: str, user: NewUser, *, prefix: str = "", prune: str = "", timeout: float = 5.0
) -> list[Initialised]:
    """`init_server` on every primary behind a URL.

    Raises:
        StoreUnavailable: one cannot be reached.
        ConfigError, ServerUnsuitable: see `init_server`.
    """
    target = parse(url)

    def node_at(address: Address) -> Node:
        return Node(address, timeout=timeout, connections=1, max_waiting=1000, library=library_of(target))

    keys = Keys(prefix or target.settings.prefix)
    topology = await topology_of(target, node_at, timeout)
    try:
        done = []
        for node in topology.primaries():
            one = await init_server(node, user, keys, probe_of(topology, node, keys), prune=prune)
            if user.create:
                copied = await _copy_user(node, user.name, node_at)
                one = one._replace(notes=(*one.notes, *copied))
            done.append(one)
        return done
    finally:
        await topology.close()


async def _copy_user(primary: Node, name: str, node_at: Callable[[Address], Node]) -> list[str]:
    """Users are not replicated: gives the primary's to its replicas, one of which may be the primary tomorrow."""
    [line] = [one for one in await _must(primary, "ACL", "LIST") if one.split(b" ", 2)[1].decode() == name]
    rules = [rule.decode() for rule in line.split()[2:]]
    notes = []
    for fact, text in (await info(primary)).items():
        if not (fact.startswith("slave") and fact[5:].isdecimal()):
            continue
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        replica = node_at(primary.address.at(parts["ip"], int(parts["port"])))
        replica.address.primary = False
        try:
            await _must(replica, "ACL", "SETUSER", name, "reset", *rules)
        except StoreError as error:
            notes.append(f"the replica at {replica.where} did not get the user: {error}")
        else:
            notes.append(
                f"the replica at {replica.where} has the user too; run ACL SAVE (or CONFIG REWRITE) there as well"
            )
        finally:
            await replica.close()
    return notes


async def init_server(node: Node, user: NewUser, keys: Keys, probe_key: str, *, prune: str = "") -> Initialised:
    """Loads the functions on one server, tries them out, and gives (or makes) the nodes' user its rights.

    Args:
        prune: the name of another release's library to delete.

    Raises:
        ConfigError: URL, user or password are wrong, or this user is no administrator.
        ServerUnsuitable: the server runs neither functions nor scripts.
    """
    user_name(user.name)
    if prune and (not prune.startswith(PREFIX) or prune == node.library.name):
        raise ConfigError(f"--prune takes the library of another release, holdfast_..., not {prune[:60]!r}")
    try:
        return await _init(node, keys, probe_key, user, prune)
    except AccessRefused as error:
        who = user_of(node.address)
        raise ConfigError(f"{error} (user {who!r}; this command needs an administrator's)") from error


async def _init(node: Node, keys: Keys, probe_key: str, user: NewUser, prune: str) -> Initialised:
    tried = await try_out(node.large, node.library, probe_key)
    if tried.missing:
        raise ConfigError(
            f"Redis at {node.where}: this user may not run {', '.join(tried.missing)}, and so cannot try the functions out; "
            "use an administrator's user"
        )
    notes: list[str] = []
    if tried.form.name == "scripts":
        notes.append(
            "this server has no functions: the nodes load the script themselves, again after each restart, so the line has "
            "script|load; who may load and run scripts may run any, within the line's keys and commands"
        )
    database = node.address.login.db
    if user.create:
        notes += await _apply(node, tried.form, keys.prefix, user, database)
    if prune:
        await _must(node, "FUNCTION", "DELETE", prune)
    return Initialised(
        node.where,
        tried.form.name,
        node.library.name,
        tried.loaded,
        acl_line(user.name, tried.form, keys.prefix, database=database),
        user.create,
        bool(prune),
        tuple(notes),
    )


async def _apply(node: Node, form: Form, prefix: str, user: NewUser, database: int) -> list[str]:
    """Sets the user's rights anew in one step. Passwords go as digests; without a new one the former ones stay."""
    if user.password:
        digests = [hashlib.sha256(user.password.encode()).hexdigest()]
    else:
        known = await _must(node, "ACL", "GETUSER", user.name)
        digests = [] if known is None else [one.decode() for one in known[known.index(b"passwords") + 1]]
        if not digests:
            raise ConfigError(f"user {user.name!r} is new and needs a password: give one, or let one be generated")
    rules = ("reset", "on", *[f"#{digest}" for digest in digests], *acl_rules(form, prefix, database=database))
    await _must(node, "ACL", "SETUSER", user.name, *rules)
    notes = ["users are not replicated: a server that joins later needs the line too"]
    setting = await node.large.call(("CONFIG", "GET", "aclfile"), write=False)
    if isinstance(setting, list) and len(setting) == 2 and setting[1]:
        return [*notes, f"run ACL SAVE, so that the user outlives a restart (aclfile {setting[1].decode()})"]
    return [*notes, "no aclfile is known: run CONFIG REWRITE (or set an aclfile), so that the user outlives a restart"]


async def _must(node: Node, *command: Arg) -> Any:
    reply = await node.large.call(command, write=False)
    if isinstance(reply, ReplyError):
        text = str(reply)
        if command[0] == "FUNCTION" and "not found" in text.lower():
            raise ConfigError(
                f"Redis at {node.where} has no library {str(command[-1])!r}: `holdfast store check` lists them"
            )
        raise error_for(text, write=False, where=node.where)
    return reply
