"""A plain blocking connection to a Redis server, for looking inside from a test: no driver, no retries."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import BinaryIO, Self, cast


class RedisConnection:
    """Sends one command at a time and reads its reply, over a socket that is connected. Closes it at the end of a ``with``."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._stream = cast(BinaryIO, connected.makefile("rb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self._stream.close()
        self._socket.close()

    def command(self, *args: str | bytes | int | float) -> object:
        """One command's reply: text, whole number, None or a list. An error reply is a `RuntimeError`."""
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in args]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(request)
        return _reply(self._stream)


def _reply(stream: BinaryIO) -> object:
    """One RESP2 reply."""
    line = stream.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            raise RuntimeError(rest.decode("utf-8", "replace"))
        case b":":
            return int(rest)
        case b"$":
            size = int(rest)
            return None if size < 0 else stream.read(size + 2)[:-2].decode("utf-8", "surrogateescape")
        case b"*":
            return [_reply(stream) for _ in range(int(rest))]
        case _:
            raise ConnectionError("the server closed the connection")
