"""The OpenAPI description is whole, and whatever fits it or does not, nothing is a server's error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_kit import Scripted, served

from holdfast import open_store
from holdfast.config import Config
from holdfast.server.app import create_app

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/{session_id}"),
    ("DELETE", "/v1/sessions/{session_id}"),
    ("GET", "/v1/sessions/{session_id}/messages"),
    ("POST", "/v1/sessions/{session_id}/turns"),
    ("GET", "/v1/sessions/{session_id}/turns/{turn_id}/events"),
    ("DELETE", "/v1/sessions/{session_id}/turns/{turn_id}"),
    ("GET", "/v1/sessions/{session_id}/turns/{turn_id}/trace"),
    ("GET", "/v1/handovers"),
    ("POST", "/v1/sessions/{session_id}/handover/replies"),
    ("POST", "/v1/sessions/{session_id}/handover/end"),
    ("POST", "/v1/sessions/{session_id}/signals/{name}"),
    ("GET", "/v1/passages"),
    ("GET", "/v1/passages/{passage_id}"),
    ("GET", "/v1/info"),
    ("GET", "/v1/me"),
    ("POST", "/v1/visit"),
    ("POST", "/v1/login"),
    ("POST", "/v1/logout"),
    ("POST", "/v1/channels/webhook/{name}"),
    ("GET", "/v1/channels/webhook/{name}"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


async def test_every_operation_is_described() -> None:
    async with served() as (node,):
        document = (await node.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {(method.upper(), path) for path in paths for method in paths[path]} == set(OPERATIONS)
    for operations in paths.values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["responses"]["500"]["content"].keys() == {"application/problem+json"}
    turn = paths["/v1/sessions/{session_id}/turns"]["post"]
    assert set(turn["responses"]) == {
        "200",
        "202",
        *(str(code) for code in (400, 403, 404, 408, 409, 410, 413, 415, 422, 429, 500, 503, 504)),
    }
    assert set(turn["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert turn["requestBody"]["content"]["application/json"]["example"]
    names = _references(document)
    assert names <= set(document["components"]["schemas"])


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()


class _Server:
    """The application in a thread, because schemathesis' client blocks."""

    def __init__(self) -> None:
        self.url = ""
        self.session = ""
        self._server: uvicorn.Server | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        async with open_store("memory:", wait=1) as store:
            limits: Any = {"max_body_bytes": 4096, "max_input_chars": 500}
            app = create_app(store, Scripted(), Config(store="memory:", server=limits))  # type: ignore[arg-type]
            self.session = (await store.create(user="u-1")).id
            config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off")
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started:  # noqa: ASYNC110  (uvicorn has nothing to wait for)
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
            self._up.set()
            await serving

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


@pytest.fixture(scope="module")
def description(server: _Server) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_is_a_servers_error(description: Any, server: _Server, method: str, path: str) -> None:
    operation = description[path][method]
    counted = 0

    @seed(1)
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def every(case: Any) -> None:
        nonlocal counted
        counted += 1
        if counted % 2 and method != "DELETE" and "session_id" in (case.path_parameters or {}):
            case.path_parameters["session_id"] = server.session  # half of them reach a session that is there
        case.call_and_validate(checks=CHECKS)

    every()
    assert (
        counted > 1 or method == "GET" or path in ("/v1/visit", "/v1/logout")
    )  # these have nothing that could be varied
