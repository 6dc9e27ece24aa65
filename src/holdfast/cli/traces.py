"""How turns were answered, for ``holdfast sessions show --trace``."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from holdfast import Message, Store
from holdfast.cli.export_format import tagged
from holdfast.cli.output import clean, moment


async def traces_of(store: Store, session_id: str, messages: list[Message]) -> list[dict[str, Any]]:
    """What is kept of the turns that wrote these messages, in order."""
    found = []
    for turn_id in dict.fromkeys(message.turn_id for message in messages if message.turn_id):
        trace = await store.read_trace(session_id, turn_id)
        if trace is not None:
            attempts = [{"number": number, **tagged(noted)} for number, noted in trace.attempts]
            found.append({"turn": turn_id, "attempts": attempts})
    return found


def print_traces(traces: list[dict[str, Any]], out: Console) -> None:
    """For people: a line for each step."""
    if not traces:
        out.print("Nothing is kept of how these turns were answered.", style="dim")
    for trace in traces:
        out.print(Text(f"\nTurn {clean(trace['turn'], one_line=True)}", style="bold"))
        for attempt in trace["attempts"]:
            began = moment(round(attempt.get("since", 0) * 1000))
            out.print(Text(f"  attempt {attempt['number']}, {began}, {attempt.get('ms', 0):.0f} ms", style="dim"))
            for entry in attempt.get("entries", ()):
                _step(entry, out)
            if attempt.get("left_out"):
                out.print(Text(f"  {attempt['left_out']} further steps were too much to keep", style="dim"))
            if attempt.get("error"):
                out.print(Text(f"  {clean(attempt['error'], one_line=True)}", style="red"))


def _step(entry: dict[str, Any], out: Console) -> None:
    said = {name: value for name, value in entry["data"].items() if value not in ("", None, [], {})}
    parts = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in said.items()]
    line = Text(f"  {entry['at']:8.1f} ms  ")
    line.append(clean(entry["kind"], one_line=True), style="cyan")
    line.append("  " + clean("  ".join(parts), one_line=True))
    out.print(line, overflow="fold", soft_wrap=False)
