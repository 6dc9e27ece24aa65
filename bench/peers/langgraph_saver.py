"""LangGraph: a graph of one node that replies, with the async saver of SQLite or PostgreSQL, its default durability.

A session of many messages is made by one `aupdate_state`, not by as many turns; a turn reads all messages: that is its state.
"""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "langgraph==1.2.22", "langgraph-checkpoint==4.3.2", "langgraph-checkpoint-sqlite==3.1.2",
#   "langgraph-checkpoint-postgres==3.2.0", "psycopg[binary,pool]==3.3.9", "aiosqlite==0.22.1",
# ]
# ///

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.peers.answering import serve


class LangGraphThreads:
    def __init__(self, saver: str) -> None:
        self._kind = saver
        self._stack = AsyncExitStack()
        self._graph: Any
        self._read = 0
        self._said = self._reply = ""

    async def open(self, url: str, said: str, reply: str) -> None:
        self._said, self._reply = said, reply
        saver = await (self._postgres(url) if self._kind == "postgres" else self._sqlite(url))
        await saver.setup()
        builder: Any = StateGraph(MessagesState)

        async def answer(state: Any) -> Any:
            self._read = len(state["messages"]) - 1
            return {"messages": [AIMessage(reply)]}

        builder.add_node("answer", answer)
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        self._graph = builder.compile(checkpointer=saver)

    async def _sqlite(self, path: str) -> Any:
        return await self._stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))

    async def _postgres(self, url: str) -> Any:
        # a pool, as for an application with concurrent requests, of connections as its docs make them
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(url, max_size=20, kwargs=options, open=False)
        await self._stack.enter_async_context(pool)
        return AsyncPostgresSaver(pool)

    async def fill(self, session_id: str, messages: int) -> None:
        config = {"configurable": {"thread_id": session_id}}
        pairs = [kind(text) for _ in range(messages // 2) for kind, text in self._pair()]
        await self._graph.aupdate_state(config, {"messages": pairs}, as_node="answer")

    def _pair(self) -> tuple[tuple[Any, str], tuple[Any, str]]:
        return (HumanMessage, self._said), (AIMessage, self._reply)

    async def turn(self, session_id: str) -> int:
        config = {"configurable": {"thread_id": session_id}}
        await self._graph.ainvoke({"messages": [HumanMessage(self._said)]}, config)
        return self._read

    async def close(self) -> None:
        await self._stack.aclose()


if __name__ == "__main__":
    serve(LangGraphThreads(sys.argv[1]))
