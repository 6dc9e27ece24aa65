"""Whatever fits the description or does not, from whoever: no server's error, and no answer that the description lacks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from access_kit import SECRET, Noted, bearer, section, users_cookie, visitors_cookie
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from holdfast import open_store
from holdfast.config import Config
from holdfast.server.app import create_app, node_of

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CALLERS = {
    "nobody": {},
    "application": bearer("application"),
    "user": bearer("user"),
    "operator": bearer("operator"),
    "admin": bearer("admin"),
    "visitor": visitors_cookie("visitor-1", ""),
    "forged": users_cookie("ann", csrf=False),
}
ENDS_ITS_COOKIE = ("POST", "/v1/logout")


class _Server:
    """A server that knows its callers, in a thread, because schemathesis' client blocks."""

    def __init__(self) -> None:
        self.url = ""
        self.sessions: list[str] = []
        self._server: uvicorn.Server | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        async with open_store("memory:", wait=0.2) as store:
            roles = {"application": {}, "user": {"user": "ann"}, "operator": {}, "admin": {}}
            keys = [
                section(name, role="user" if name == "application" else name, **more) for name, more in roles.items()
            ]
            access: Any = {"keys": keys, "visitors": True, "secret": SECRET, "metrics": "keys"}
            limits: Any = {"max_body_bytes": 4096, "max_input_chars": 500}
            app = create_app(store, Noted(), Config(store="memory:", server=limits, access=access))  # type: ignore[arg-type]
            self.sessions = [(await store.create(user=user)).id for user in ("ann", "bob", "visitor-1", "")]
            config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off")
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started:  # noqa: ASYNC110  (uvicorn has nothing to wait for)
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
            self._up.set()
            await serving
            audit = node_of(app).audit
            assert audit is not None
            await audit.flush()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(20)

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    server = _Server()
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("caller", CALLERS)
def test_every_role_is_answered_as_described(server: _Server, caller: str) -> None:
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    counted = 0
    for path, operations in description.raw_schema["paths"].items():
        for method in operations:
            if (method.upper(), path) == ENDS_ITS_COOKIE:
                continue
            operation = description[path][method.upper()]

            @seed(1)
            @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
            def every(case: Any) -> None:
                nonlocal counted
                counted += 1
                if case.method != "DELETE" and "session_id" in (case.path_parameters or {}):
                    case.path_parameters["session_id"] = server.sessions[counted % 4]
                for name in ("Authorization", "Cookie"):
                    (case.headers or {}).pop(name, None)
                case.cookies = {}
                case.call_and_validate(checks=CHECKS, headers=CALLERS[caller])

            every()
    assert counted > 100
