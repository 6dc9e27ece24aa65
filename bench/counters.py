"""What servers and files count by themselves: a Redis server's processor time and bytes, SQLite's log of writes."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import hiredis


class Raw:
    """One blocking connection to Redis that sends packed commands together and reads their replies."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._reader = hiredis.Reader()
        self.sent = 0
        self.received = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, packed: bytes, replies: int) -> list[Any]:
        """Raises the first reply that is an error."""
        self._socket.sendall(packed)
        self.sent += len(packed)
        found: list[Any] = []
        while len(found) < replies:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.received += len(data)
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    raise reply
                found.append(reply)
        return found

    def call(self, *args: str | bytes | int) -> Any:
        return self.send(hiredis.pack_command(args), 1)[0]  # type: ignore[arg-type]  # takes any tuple of these


class Reading(NamedTuple):
    """A server's counters without what reading them cost: main thread's processor time, bytes in and out."""

    cpu_s: float
    received: int
    sent: int


class ServerCounters:
    """Reads one Redis server's counters over a connection of its own, whose bytes it takes off."""

    def __init__(self, port: int) -> None:
        self._raw = Raw(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.__exit__(kind, error, trace)

    def read(self) -> Reading:
        raw = self._raw
        own_replies = raw.received  # the server counts a reply's bytes after it has written this one
        stats = _fields(raw.call("INFO", "stats"))
        received = int(stats["total_net_input_bytes"]) - raw.sent
        sent = int(stats["total_net_output_bytes"]) - own_replies
        cpu = _fields(raw.call("INFO", "cpu"))
        seconds = float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])
        return Reading(seconds, received, sent)


def _fields(info: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


class WalCounter:
    """Bytes that go into a SQLite file's write-ahead log, from the log's index (``-shm``), where the last frame's number
    stands at byte 16 (https://www.sqlite.org/walformat.html)."""

    def __init__(self, path: Path, page_bytes: int = 4096) -> None:
        self._index = Path(f"{path}-shm")
        self._frame = page_bytes + 24
        self._last = self._frames()

    def _frames(self) -> int:
        with self._index.open("rb") as file:
            file.seek(16)
            return int.from_bytes(file.read(4), "little")

    def written(self) -> int:
        """Bytes since the last call. Ask after each turn: a log that began anew in between is noticed once."""
        frames = self._frames()
        new = frames - self._last if frames >= self._last else frames
        self._last = frames
        return new * self._frame
