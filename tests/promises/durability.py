"""Writers in processes of their own, and what is left of what they were told when the servers have come back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from holdfast import Store, open_store
from holdfast.testing import Anomaly, History
from workload import KEEP_ALL, lines, log_of, never

CLIENT: Final = Path(__file__).with_name("durable_client.py")
SESSIONS: Final = ["s-0", "s-1", "s-2", "s-3"]

Start = Callable[..., "subprocess.Popen[bytes]"]
"""Like `subprocess.Popen`, for the arguments that follow the Python program."""


def start_here(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *argv], **options)


class Writers:
    """One client process: several sessions, several turns and updates at a time, at one durability level."""

    def __init__(self, url: str, level: str, start: Start = start_here, *, writers: int = 4, updaters: int = 2) -> None:
        prefix = "".join(letter for letter in level if letter.isalnum())
        self.level = level
        self._read_url = f"{url}{'&' if '?' in url else '?'}prefix={prefix}"
        self._start = start
        self._config = {
            "url": f"{self._read_url}&durability={level}",
            "name": prefix,
            "sessions": SESSIONS,
            "writers": writers,
            "updaters": updaters,
            "options": {"outcomes": KEEP_ALL, "lease": 2, "poll": 0.1, "timeout": 2, "settle": 1, "max_attempts": 1000},
        }
        self._out = tempfile.TemporaryFile("w+b")  # noqa: SIM115 -- closed at the end of our own context
        self._read_to = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.events: list[list[Any]] = []

    async def __aenter__(self) -> Writers:
        argv = [str(CLIENT), json.dumps(self._config)]
        self._process = self._start(argv, stdin=subprocess.PIPE, stdout=self._out)
        await self.until("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._out.close()

    def look(self) -> list[list[Any]]:
        """All events so far."""
        size = os.fstat(self._out.fileno()).st_size
        new = os.pread(self._out.fileno(), size - self._read_to, self._read_to)  # the writer's place stays where it is
        self._read_to += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        self.events += [json.loads(line) for line in whole]
        return self.events

    def of(self, kind: str) -> list[list[Any]]:
        return [event[1:] for event in self.look() if event[0] == kind]

    async def until(self, kind: str, count: int = 1, within: float = 60.0) -> None:
        """Waits for so many events of a kind."""
        async with asyncio.timeout(within):
            while len(self.of(kind)) < count:
                assert self._process is not None
                assert self._process.poll() is None, f"the writer ended: {self.events[-3:]}"
                await asyncio.sleep(0.05)

    async def go_on(self, turns: int = 20) -> None:
        """Waits for so many more answered turns."""
        await self.until("ack", len(self.of("ack")) + turns)

    async def end(self) -> None:
        """Lets it end what is under way, its unanswered turns sent again until they are answered."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.to_thread(self._process.wait, 120)
        assert self.look()[-1] == ["end"], f"the writer did not end well: {self.events[-3:]}"
        assert not self.of("never"), "a turn never got an outcome"

    # --- what is left ---

    async def verdict(self) -> Verdict:
        """What the servers hold, against what this client was told. Run it where the client ran."""
        async with open_store(self._read_url, outcomes=KEEP_ALL, timeout=5) as store:
            found = Verdict(self)
            for session in SESSIONS:
                await found.add_session(store, session)
            await found.add_updates(store)
        return found


class Verdict:
    """Counts of what was acknowledged, lost, doubled."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._unsure = {turn for turn, error in writers.of("error") if error == "OutcomeUnknown"}
        self.acked = len(writers.of("ack"))
        self.unknown = len(self._unsure)
        self.lost: list[str] = []
        self.others: list[Anomaly] = []
        self.updates = len(writers.of("updated"))
        self.lost_updates: list[str] = []
        self.untrue_refusals: list[str] = []
        self.steps, self.steps_again = self._count_steps()

    def _count_steps(self) -> tuple[int, int]:
        """Recorded steps, and how many of them were executed once more."""
        recorded: dict[str, str] = {}
        again = 0
        for kind, *event in self._writers.events:
            if kind == "recorded":
                recorded[event[0]] = event[1]
            elif kind == "effect" and event[0] in recorded:
                again += 1
        return len(recorded), again

    async def add_session(self, store: Store, session: str) -> None:
        history, base, replies = History(), dict[str, int](), dict[str, str]()
        for kind, *event in self._writers.events:
            if kind == "ran" and event[0] == session:
                base[event[1]] = event[2]
                history.add(event[1], event[2], "unknown")
            elif kind == "ack" and event[0] == session:
                _, turn, reply, replayed = event
                replies[turn] = reply
                history.add(
                    turn, None if replayed else base[turn], "replayed" if replayed else "committed", reply.encode()
                )
        log = await log_of(store, session)
        count = (await store.get(session)).get("n", 0)
        anomalies = history.check(lines(log), count)
        self.lost += [one.turn_id for one in anomalies if one.kind == "lost"]
        self.others += [one for one in anomalies if one.kind != "lost"]
        there = [turn for turn in replies if turn not in self.lost]
        asked = [turn for turn in there if turn in self._unsure] + there[-20:]
        for turn in asked:
            outcome = await store.run_turn(session, never, input=turn, turn_id=turn)
            if not outcome.replayed or outcome.reply != replies[turn]:
                self.others.append(Anomaly("reply-differs", turn, f"{replies[turn]!r}, then {outcome.reply!r}"))

    async def add_updates(self, store: Store) -> None:
        states: dict[str, dict[str, Any]] = {}
        for kind, into in (("updated", self.lost_updates), ("refused", self.untrue_refusals)):
            for session, key in self._writers.of(kind):
                if session not in states:
                    states[session] = dict(await store.get(session))
                if (key in states[session]) != (kind == "updated"):
                    into.append(f"{session} {key}")

    def errors(self) -> Counter[str]:
        """What callers were told, by kind."""
        return Counter(error for _, error in self._writers.of("error"))

    def assert_nothing_lost(self) -> None:
        assert self.lost == [], f"{len(self.lost)} acknowledged turns are not there"
        assert self.others == []
        assert self.lost_updates == [], f"{len(self.lost_updates)} acknowledged updates are not there"
        assert self.untrue_refusals == [], "updates that were refused are there"
        assert self.steps_again == 0, "recorded steps were executed again"

    def counts(self) -> dict[str, int]:
        return {
            "turns": self.acked,
            "lost": len(self.lost),
            "updates": self.updates,
            "updates_lost": len(self.lost_updates),
            "steps": self.steps,
            "recorded_steps_run_again": self.steps_again,
            "outcomes_unknown_at_first": self.unknown,
        }
