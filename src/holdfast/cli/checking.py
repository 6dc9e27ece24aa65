"""``holdfast store check``: is it there, what can it promise, does it do what it should."""

from __future__ import annotations

import os
import statistics
import time
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from holdfast import Message, Store, Turn, wiring
from holdfast.backends.records import Finding
from holdfast.cli.options import Debug, Json, Tenant, with_store
from holdfast.cli.output import clean, console, print_json
from holdfast.cli.own_class import check_class, names_class
from holdfast.errors import HoldfastError, StoreError, StoreTimeout, StoreUnavailable

_LOADS: Final = 20
_STYLES: Final = {"ok": "green", "note": "yellow", "bad": "bold red"}


class Unreachable(StoreUnavailable):
    """The store to check gave no answer."""


def check(
    target: Annotated[
        str,
        typer.Argument(
            envvar="HOLDFAST_STORE",
            metavar="URL",
            show_default=False,
            help="A store's URL, or module:Class (or module:object) of a store of your own with get, set and delete.",
        ),
    ],
    tenant: Tenant = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a store can promise, what is wrong with it and how to mend it.

    Exit code: 0 nothing is bad, 1 something is bad, 2 it cannot be reached or opened.
    """
    if names_class(target):
        name, findings, latency = target, check_class(target), None
    else:
        name = wiring.shown_url(target)
        try:
            findings, latency = with_store(target, tenant, _check, may_be_new=True)
        except (StoreUnavailable, StoreTimeout) as error:
            raise Unreachable(str(error)) from error
    bad = any(finding.level == "bad" for finding in findings)
    if as_json:
        print_json({"store": name, "ok": not bad, "latency_ms": latency, "findings": [_plain(one) for one in findings]})
    else:
        _print(name, findings, latency)
    if bad:
        raise typer.Exit(1)


async def _check(store: Store) -> tuple[list[Finding], dict[str, float]]:
    findings = await store.check()
    latency = await _latency(store)
    findings.append(await _tried(store))
    return findings, latency


async def _latency(store: Store) -> dict[str, float]:
    """Milliseconds that a load of a session that is not there takes, one after the other."""
    key = store.key(f"holdfast-check-{os.urandom(8).hex()}")
    took = []
    await store.backend.load(key, tail=0)  # the first one may have to connect
    for _ in range(_LOADS):
        started = time.perf_counter()
        await store.backend.load(key, tail=0)
        took.append((time.perf_counter() - started) * 1000)
    return {"p50": round(statistics.median(took), 4), "worst": round(max(took), 4)}


async def _tried(store: Store) -> Finding:
    """A turn on a session of its own, which expires in a minute if it cannot be deleted."""
    session_id = f"holdfast-check-{os.urandom(8).hex()}"

    async def answer(turn: Turn) -> None:
        turn.state["seen"] = True
        turn.reply("pong")

    started = time.perf_counter()
    try:
        await store.set(session_id, {"number": 1}, ttl=60)
        first = await store.run_turn(session_id, answer, input=Message.user("ping"), turn_id="t-1")
        again = await store.run_turn(session_id, answer, input=Message.user("ping"), turn_id="t-1")
        state = await store.get(session_id)
        deleted = await store.delete(session_id)
        left = await store.exists(session_id)
    except HoldfastError as error:
        mend = (
            "mend what the line above says"
            if not isinstance(error, StoreError)
            else "look at the server's log and rights"
        )
        return Finding("bad", "write and read", f"a trial turn failed: {type(error).__name__}: {error}", mend)
    if (first.reply, again.reply, again.replayed, state, deleted, left) != (
        "pong", "pong", True, {"number": 1, "seen": True}, True, False,
    ):  # fmt: skip
        return Finding("bad", "write and read", "a trial session was not read as it was written", "please report this")
    took = (time.perf_counter() - started) * 1000
    return Finding("ok", "write and read", f"a trial session was written, answered, read and deleted in {took:.1f} ms")


def _plain(finding: Finding) -> dict[str, Any]:
    return {"level": finding.level, "subject": finding.subject, "text": finding.text, "mend": finding.mend}


def _print(name: str, findings: list[Finding], latency: dict[str, float] | None) -> None:
    out = console()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=20)
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(clean(finding.text, one_line=True))
        if finding.mend:
            text.append(f"\n→ {clean(finding.mend, one_line=True)}", style="italic")
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), clean(finding.subject, one_line=True), text)
    out.print(Text(clean(name, one_line=True), style="bold"))
    out.print(table)
    if latency is not None:
        out.print(f"Round trip: {latency['p50']:g} ms, the slowest of {_LOADS} {latency['worst']:g} ms.")
    levels = [finding.level for finding in findings]
    out.print(f"{levels.count('bad')} bad, {levels.count('note')} to note, {levels.count('ok')} ok.")
