"""Sessions as other applications leave them in Redis: a server to put them on, and the layouts of three frameworks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran, cli

from holdfast import Message
from holdfast.sync import Store, open_store
from holdfast.testing.servers import RedisServer
from store_nodes import needs_redis_server, url_of

Value = bytes | str | dict[str, Any] | list[Any]


class Application(RedisServer):
    """The server of an application that knows nothing of Holdfast."""

    def put(self, key: str | bytes, value: Value, ttl: int | None = 3600) -> None:
        """``SETEX key ttl value``; what is no text or bytes goes in as JSON."""
        raw = value if isinstance(value, bytes | str) else json.dumps(value, ensure_ascii=False)
        raw = raw if isinstance(raw, bytes) else raw.encode()
        self.command("SET", key, raw, *(("EX", ttl) if ttl else ()))

    def say(self, key: str, *texts: str, ttl: int | None = 3600, **more: Any) -> None:
        """A whole session: users and assistant in turn."""
        self.put(key, {"history": history(*texts), **more}, ttl)

    def langchain(self, session: str, *items: tuple[str, Any, dict[str, Any]]) -> None:
        """RedisChatMessageHistory: LPUSH, so that the newest stands first."""
        for kind, content, more in items:
            data = {
                "content": content,
                "additional_kwargs": {},
                "response_metadata": {},
                "type": kind,
                "name": None,
                "id": None,
            }
            self.command("LPUSH", f"message_store:{session}", json.dumps({"type": kind, "data": {**data, **more}}))
        self.command("EXPIRE", f"message_store:{session}", 600)

    def openai_agents(self, session: str, *items: dict[str, Any]) -> None:
        """RedisSession: a hash about the session, and a list of Responses items beside it."""
        key = f"agents:session:{session}"
        self.command("HSET", key, "session_id", session, "created_at", "1795380196", "updated_at", "1795380196")
        for item in items:
            self.command("RPUSH", f"{key}:messages", json.dumps(item, separators=(",", ":")))

    def llamaindex(self, key: str, *items: dict[str, Any]) -> None:
        """RedisChatStore: a list under the bare key."""
        for item in items:
            self.command("RPUSH", key, json.dumps({"additional_kwargs": {}, **item}, ensure_ascii=False).encode())


def history(*texts: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [
        {"role": roles[number % 2], "content": text, "timestamp": 1_700_000_000 + number}
        for number, text in enumerate(texts)
    ]


class Home:
    """A store that sessions move into."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tenant = uuid.uuid4().hex[:12]  # a Redis server is shared by many tests
        self.options = ["--store", url, "--tenant", self.tenant]

    def open(self) -> Store:
        return open_store(self.url, tenant=self.tenant)

    def ids(self) -> list[str]:
        with self.open() as store:
            return sorted(set(store.scan()))

    def state(self, id_: str) -> dict[str, Any]:
        with self.open() as store:
            return store.get(id_)

    def messages(self, id_: str) -> list[Message]:
        with self.open() as store:
            return list(store.messages(id_))

    def said(self, id_: str) -> list[str]:
        return [message.content for message in self.messages(id_)]

    def shown(self, id_: str) -> Any:
        return cli("sessions", "show", id_, "--json", *self.options).document


def take_over(application: RedisServer, home: Home, *args: object) -> Ran:
    """``holdfast store import --json`` of the application's ``chat:*``, unless the arguments say otherwise."""
    chosen = [] if "--pattern" in args or "--from" in args else ["--pattern", "chat:*"]
    return cli("store", "import", application.url, *chosen, "--json", *home.options, *args)


@pytest.fixture(scope="session")
def application_server() -> Iterator[Application]:
    needs_redis_server()
    with Application() as server:
        yield server


@pytest.fixture
def application(application_server: Application) -> Application:
    application_server.command("FLUSHALL")
    application_server.reset_stats()
    return application_server


@pytest.fixture(params=["sqlite", "redis"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return Home(url_of(request.param, request, tmp_path))
