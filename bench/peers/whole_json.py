"""What everybody writes first: the whole session as one JSON text, GET and SETEX. Run with the environment of this project.

SETEX is sent as SET with EX: redis-py's own `setex` warns at every call, which would cost this side time.
"""

from __future__ import annotations

import json
import time

from redis.asyncio import Redis

from bench.peers.answering import TTL_S, serve


class WholeJson:
    def __init__(self) -> None:
        self._client: Redis
        self._said = self._reply = ""

    async def open(self, url: str, said: str, reply: str) -> None:
        self._client = Redis.from_url(url)
        self._said, self._reply = said, reply

    async def fill(self, session_id: str, messages: int) -> None:
        session = {"messages": [part for _ in range(messages // 2) for part in self._added()]}
        await self._client.set(session_id, json.dumps(session), ex=TTL_S)

    async def turn(self, session_id: str) -> int:
        data = await self._client.get(session_id)
        session = json.loads(data) if data is not None else {"messages": []}
        read = len(session["messages"])
        session["messages"] += self._added()
        await self._client.set(session_id, json.dumps(session), ex=TTL_S)
        return read

    def _added(self) -> list[dict[str, object]]:
        at = time.time()
        return [
            {"role": "user", "content": self._said, "created_at": at},
            {"role": "assistant", "content": self._reply, "created_at": at},
        ]

    async def close(self) -> None:
        await self._client.aclose()


if __name__ == "__main__":
    serve(WholeJson())
