"""Agno: `RedisDb`, called as its async agent does: all runs are read, of which the last become the context; then the session is
written, and the new run under a key of its own. The adapter has no async form: the agent, too, calls it on the event loop."""
# /// script
# requires-python = ">=3.11"
# dependencies = ["agno==3.1.10", "redis==8.1.0", "hiredis==3.5.0"]
# ///

from __future__ import annotations

import uuid
from typing import Any

from agno.db.base import SessionType
from agno.db.redis import RedisDb
from agno.models.message import Message
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.session.agent import AgentSession

from bench.peers.answering import CONTEXT, TTL_S, serve


class AgnoSessions:
    def __init__(self) -> None:
        self._db: Any
        self._said = self._reply = ""

    async def open(self, url: str, said: str, reply: str) -> None:
        self._db = RedisDb(db_url=url, expire=TTL_S)
        self._said, self._reply = said, reply

    def _run(self, session_id: str) -> Any:
        return RunOutput(
            run_id=str(uuid.uuid4()),
            agent_id="agent",
            session_id=session_id,
            content=self._reply,
            messages=[Message(role="user", content=self._said), Message(role="assistant", content=self._reply)],
            status=RunStatus.completed,
        )

    async def fill(self, session_id: str, messages: int) -> None:
        self._db.upsert_session(AgentSession(session_id=session_id, agent_id="agent", session_data={}))
        for number in range(messages // 2):
            self._db.upsert_run(run=self._run(session_id), session_id=session_id, run_index=number)

    async def turn(self, session_id: str) -> int:
        session = self._db.get_session(session_id, SessionType.AGENT)
        read = len(session.get_messages(last_n_runs=CONTEXT // 2, agent_id="agent"))
        run = self._run(session_id)
        number = len(session.runs)
        session.upsert_run(run=run)
        self._db.upsert_session(session)
        self._db.upsert_run(run=run, session_id=session_id, run_index=number)
        return read

    async def close(self) -> None:
        self._db.redis_client.close()


if __name__ == "__main__":
    serve(AgnoSessions())
