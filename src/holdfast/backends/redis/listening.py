"""Messages of a subscribed connection. One that keeps silent is tried with a PING; if it does not answer that, it is dead."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import TimeoutError as RedisTimeout


class Listening:
    """Reads a connection that has subscribed.

    Args:
        idle: seconds of silence after which it is tried.
    """

    def __init__(self, connection: AbstractConnection, idle: float) -> None:
        self._connection = connection
        self._idle = idle

    async def message(self) -> list[Any]:
        """The next message, as redis-py reads it. Raises redis-py's errors: an error reply, a lost or dead connection."""
        asked = False
        while True:
            try:
                found = await self._connection.read_response(
                    timeout=self._idle, disconnect_on_error=False, push_request=True
                )
            except RedisTimeout:
                if asked:
                    raise
                asked = True
                await self._connection.send_command("PING", check_health=False)
                continue
            asked = False
            if isinstance(found, list):
                return found
