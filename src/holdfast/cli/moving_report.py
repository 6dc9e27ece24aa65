"""What an import says: each round's counts, what was refused and why, the preview; and how it is asked to stop."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TextIO

from rich.table import Table

from holdfast.cli.export_format import message_parts, tagged
from holdfast.cli.moving_mapping import Mapping, Unusable
from holdfast.cli.moving_messages import Moved
from holdfast.cli.moving_source import Found, Missed
from holdfast.cli.output import cell, clean, console, print_json, span

_SHOWN: Final = 20
"""Refused keys that a round prints; a JSON summary has five times as many."""
FATES: Final = ("imported", "extended", "replaced", "renewed", "unchanged", "kept", "expired")


class Tally:
    """One round's counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(FATES, 0))
        self.reasons: Counter[str] = Counter()
        self.started = time.monotonic()
        self.stopped = False

    def reject(self, reason: str) -> None:
        """One more that could not be taken over."""
        self.reasons[reason] += 1

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    @property
    def seen(self) -> int:
        return self.counts.total() + self.rejected


class Rejects:
    """What a round could not take over: the first ones for the screen, all of them in a file if one is wanted.

    The file is always a whole round's (or what there was of it when the import ended).
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self.first: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def begin(self) -> None:
        """A new round."""
        self.end()
        self.first = []
        if self._path is not None:
            self._file = self._part(self._path).open("w", encoding="utf-8")

    def add(self, key: bytes, reason: str, why: str) -> None:
        """One key that could not be taken over."""
        line = {"key": shown_key(key), "reason": reason, "why": why}
        if not _is_text(key):
            line["key_base64"] = base64.b64encode(key).decode()
        if len(self.first) < 5 * _SHOWN:
            self.first.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def end(self) -> None:
        """The file gets its name."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            self._part(self._path).rename(self._path)

    @staticmethod
    def _part(path: Path) -> Path:
        return path.with_name(path.name + ".part")


def shown_key(key: bytes) -> str:
    """A key as text; bytes that are no UTF-8 as ``\\xff``."""
    return key.decode("utf-8", "backslashreplace")


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- a round ---------------------------------------------------------------------------------------------------------


def print_round(number: int, tally: Tally, rejects: Rejects, *, as_json: bool, follows: bool) -> None:
    """A round's summary: a line for people, and why what is missing is missing; or one JSON document."""
    took = time.monotonic() - tally.started
    rate = tally.seen / took if took > 0 else 0.0
    if as_json:
        print_json(
            {
                "round": number,
                **tally.counts,
                "rejected": tally.rejected,
                "reasons": dict(tally.reasons),
                "seconds": round(took, 3),
                "per_second": round(rate, 1),
                "stopped": tally.stopped,
                "rejects": rejects.first,
            }
        )
        sys.stdout.flush()
        return
    for line in rejects.first[:_SHOWN]:
        print(
            f"not taken over: {clean(line['key'], one_line=True)}: {clean(line['why'], one_line=True)}", file=sys.stderr
        )
    if tally.rejected > _SHOWN:
        print(f"and {tally.rejected - _SHOWN} more; --rejects FILE writes them all down", file=sys.stderr)
    parts = [f"{count} {fate}" for fate, count in tally.counts.items() if count]
    if tally.rejected:
        parts.append(f"{tally.rejected} not taken over ({', '.join(f'{n} {why}' for why, n in tally.reasons.items())})")
    head = f"{time.strftime('%H:%M:%S')} round {number}: " if follows else ""
    end = "; stopped before the end, run it again to go on" if tally.stopped and not follows else ""
    print(f"{head}{', '.join(parts) or 'no keys match'}; {took:.1f} s, {rate:.0f}/s{end}", flush=True)


def print_trouble(number: int, error: Exception) -> None:
    """A round that broke off, where another one will follow."""
    print(
        f"round {number} broke off, and will be made again: {clean(str(error), one_line=True)}",
        file=sys.stderr,
        flush=True,
    )


# --- the preview -----------------------------------------------------------------------------------------------------


def print_preview(shown: list[tuple[Found | Missed, Moved | Unusable]], mapping: Mapping, *, as_json: bool) -> None:
    """What would be made of these keys: a table, or JSON lines with every value."""
    if as_json:
        for item, made in shown:
            print_json({"key": shown_key(item.key), **_whole(item, made, mapping)})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, ratio in (("key", 3), ("id", 3), ("user", 1), ("messages", 4), ("state", 3)):
        table.add_column(name, overflow="fold", ratio=ratio)
    table.add_column("expires in", justify="right", min_width=10)
    for item, made in shown:
        key = cell(shown_key(item.key))
        if isinstance(made, Unusable):
            table.add_row(key, cell(made.reason, "red"), "", cell(str(made), "red"), "", "")
        else:
            table.add_row(
                key,
                cell(_named(made)),
                cell(made.user),
                cell(_said(made)),
                cell(", ".join(made.state)),
                _ends(item, mapping),
            )
    out = console()
    table.expand = True
    table.width = min(out.width, 160)
    out.print(table)
    out.print(f"The first {len(shown)} keys; nothing was written.")


def _whole(item: Found | Missed, made: Moved | Unusable, mapping: Mapping) -> dict[str, Any]:
    if isinstance(made, Unusable):
        return {"reason": made.reason, "why": str(made)}
    ttl_ms = _ttl_ms(item, mapping)
    return {
        "id": made.identity.id,
        "tenant": made.identity.tenant,
        "user": made.user,
        "state": {name: tagged(value) for name, value in made.state.items()},
        "messages": [message_parts(message) for message in made.messages],
        "ttl_s": ttl_ms / 1000 if ttl_ms else None,
    }


def _named(made: Moved) -> str:
    return f"{made.identity.tenant}: {made.identity.id}" if made.identity.tenant else made.identity.id


def _said(made: Moved) -> str:
    if not made.messages:
        return "0"
    last = made.messages[-1]
    text = last.content[:60] or ", ".join(call.name for call in last.tool_calls)
    return f"{len(made.messages)}, the last: {last.role}: {text}"


def _ttl_ms(item: Found | Missed, mapping: Mapping) -> int:
    left = item.ttl_ms if isinstance(item, Found) else None
    return (left or 0) if mapping.ttl_ms is None else mapping.ttl_ms


def _ends(item: Found | Missed, mapping: Mapping) -> str:
    ttl_ms = _ttl_ms(item, mapping)
    return span(ttl_ms / 1000) if ttl_ms else "never"


# --- stopping --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets, so that what is begun is finished; the second one ends at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for which, handler in before.items():
            if loop.remove_signal_handler(which):
                signal.signal(which, handler)

    def asked() -> None:
        stop.set()
        restore()

    with suppress(
        NotImplementedError, ValueError, RuntimeError
    ):  # not on Windows, not in a thread: Ctrl-C ends at once there
        for which in before:
            loop.add_signal_handler(which, asked)
    try:
        yield stop
    finally:
        with suppress(NotImplementedError, ValueError, RuntimeError):
            restore()
