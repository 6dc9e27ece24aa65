"""OpenAI Agents SDK: `RedisSession`, limited to the last messages. One client for all sessions, as its docs advise.

The SDK's runner saves input and reply apart; here one `add_items` takes both, which is the cheaper way.
"""
# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents[redis]==0.24.0", "redis==8.1.0", "hiredis==3.5.0"]
# ///

from __future__ import annotations

from typing import Any

from agents.extensions.memory import RedisSession
from redis.asyncio import Redis

from bench.peers.answering import CONTEXT, TTL_S, serve


class OpenAiSessions:
    def __init__(self) -> None:
        self._client: Any
        self._added: list[Any] = []

    async def open(self, url: str, said: str, reply: str) -> None:
        self._client = Redis.from_url(url)
        self._added = [{"role": "user", "content": said}, {"role": "assistant", "content": reply}]

    def _session(self, session_id: str) -> Any:
        return RedisSession(session_id, redis_client=self._client, ttl=TTL_S)

    async def fill(self, session_id: str, messages: int) -> None:
        await self._session(session_id).add_items(self._added * (messages // 2))

    async def turn(self, session_id: str) -> int:
        session = self._session(session_id)
        read = len(await session.get_items(limit=CONTEXT))
        await session.add_items(self._added)
        return read

    async def close(self) -> None:
        await self._client.aclose()


if __name__ == "__main__":
    serve(OpenAiSessions())
