"""LlamaIndex: `RedisChatStore`, its async methods. It reads all messages: there is no limit to set."""
# /// script
# requires-python = ">=3.11"
# dependencies = ["llama-index-storage-chat-store-redis==0.8.0", "llama-index-core==0.14.25", "redis==8.1.0", "hiredis==3.5.0"]
# ///

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.storage.chat_store.redis import RedisChatStore
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bench.peers.answering import TTL_S, serve


class LlamaIndexStore:
    def __init__(self) -> None:
        self._store: Any
        self._client: Any
        self._added: list[Any] = []

    async def open(self, url: str, said: str, reply: str) -> None:
        self._client = AsyncRedis.from_url(url)
        self._store = RedisChatStore(redis_client=Redis.from_url(url), aredis_client=self._client, ttl=TTL_S)
        self._added = [ChatMessage(role="user", content=said), ChatMessage(role="assistant", content=reply)]

    async def fill(self, session_id: str, messages: int) -> None:
        self._store.set_messages(session_id, self._added * (messages // 2))

    async def turn(self, session_id: str) -> int:
        read = len(await self._store.aget_messages(session_id))
        for message in self._added:
            await self._store.async_add_message(session_id, message)
        return read

    async def close(self) -> None:
        await self._client.aclose()


if __name__ == "__main__":
    serve(LlamaIndexStore())
