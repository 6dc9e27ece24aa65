"""What was deleted leaves the server's files too: the append-only file and the snapshot are written anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from holdfast.backends.redis.health import Info, ask, info
from holdfast.backends.redis.node import Node
from holdfast.errors import StoreError

_PATIENCE_S: Final = 30.0
_LOOK_S: Final = 0.1
_TRIES: Final = 3


async def scrubbed(nodes: Iterable[Node]) -> str:
    """Has each server write its files anew and waits for that; returns what could not be done, "" where nothing is left.

    Replicas keep files of their own; this does not reach them.
    """
    left = [text for node in nodes if (text := await _scrubbed(node))]
    return "; ".join(left)


async def _scrubbed(node: Node) -> str:
    facts = await info(node)
    if not facts:
        return f"{node.where}: this user may not ask INFO; run BGREWRITEAOF and BGSAVE there"
    ways: list[tuple[str, ...]] = []
    if facts.get("aof_enabled") == "1":
        ways.append(("BGREWRITEAOF", "aof_last_bgrewrite_status", "aof_rewrite_in_progress", "aof_rewrite_scheduled"))
    if int(facts.get("rdb_last_save_time", 0)) > 0:
        ways.append(("BGSAVE", "rdb_last_bgsave_status", "rdb_bgsave_in_progress"))
    for command, status, *signs in ways:
        if left := await _written_anew(node, command, status, signs):
            return left
    replicas = int(facts.get("connected_slaves", 0))
    return f"{node.where}: its {replicas} replica(s) have files of their own: run BGREWRITEAOF and BGSAVE there" * bool(
        replicas
    )


async def _written_anew(node: Node, command: str, status: str, signs: list[str]) -> str:
    for _ in range(_TRIES):
        try:
            if await ask(node, *((command, "SCHEDULE") if command == "BGSAVE" else (command,))) is None:
                return (
                    f"{node.where}: this user may not run {command}; run it there, on replicas too, to clean its files"
                )
            asked = True
        except StoreError:  # one is being written already, and may have begun too early: once more after it
            asked = False
        if not await _done(node, signs):
            break
        if asked:
            if (await info(node)).get(status, "ok") == "ok":
                return ""
            return f"{node.where}: {command} failed there: see the server's log, then run it again"
    return f"{node.where}: {command} has not ended after {_PATIENCE_S:g} s; its files are clean when it has"


async def _done(node: Node, signs: list[str]) -> bool:
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        await asyncio.sleep(_LOOK_S)
        facts: Info = await info(node)
        if all(facts.get(sign, "0") == "0" for sign in signs):
            return True
    return False
