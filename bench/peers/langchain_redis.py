"""LangChain: `RedisChatMessageHistory`, through its async methods (which run in threads), as `RunnableWithMessageHistory` does.

It reads all messages: there is no limit to set. A history opens a client of its own, so each session's is made once and kept;
made anew for each turn, as the docs' example does, it would connect each time.
"""
# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain-community==0.4.2", "redis==8.1.0", "hiredis==3.5.0"]
# ///

from __future__ import annotations

from typing import Any

from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage

from bench.peers.answering import TTL_S, serve


class LangChainHistories:
    def __init__(self) -> None:
        self._url = ""
        self._added: list[Any] = []
        self._histories: dict[str, Any] = {}

    async def open(self, url: str, said: str, reply: str) -> None:
        self._url = url
        self._added = [HumanMessage(said), AIMessage(reply)]

    async def fill(self, session_id: str, messages: int) -> None:
        history = RedisChatMessageHistory(session_id, url=self._url, ttl=TTL_S)
        self._histories[session_id] = history
        history.add_messages(self._added * (messages // 2))

    async def turn(self, session_id: str) -> int:
        history = self._histories[session_id]
        read = len(await history.aget_messages())
        await history.aadd_messages(self._added)
        return read

    async def close(self) -> None:
        for history in self._histories.values():
            history.redis_client.close()


if __name__ == "__main__":
    serve(LangChainHistories())
