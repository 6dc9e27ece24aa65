"""What concerns the node itself: documents that are cited, info, probes, metrics."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final, Protocol, runtime_checkable

from fastapi import FastAPI, Query
from fastapi import Path as InPath
from starlette.requests import Request
from starlette.responses import Response

from holdfast import __version__
from holdfast.errors import StoreError, StoreUnavailable
from holdfast.knowledge.collections import Collections
from holdfast.server import shapes
from holdfast.server.describing import described
from holdfast.server.metrics import CONTENT_TYPE
from holdfast.server.node import Node
from holdfast.server.operators import sees_traces
from holdfast.server.problems import DRAINING, PASSAGE_NOT_FOUND, Refused
from holdfast.server.replies import json_reply

_AROUND: Final = 400
"""Characters shown before and after what is cited, at least to the end of the line."""

_LONGEST: Final = 8_000
_PROBE: Final = "readiness"
_PROBE_S: Final = 2.0
_PROBE_EVERY_S: Final = 1.0


@runtime_checkable
class HasTexts(Protocol):
    """Knowledge that keeps its documents' texts."""

    async def document_text(self, name: str) -> str | None:
        """A document's text, in which citations' offsets count; None where there is no such document."""
        ...


async def _text(knowledge: object, document: str, collection: str) -> str | None:
    if isinstance(knowledge, Collections):
        return await knowledge.document_text(document, collection)
    return await knowledge.document_text(document) if isinstance(knowledge, HasTexts) else None


def add_node_routes(app: FastAPI, node: Node) -> None:
    """The routes over this node."""
    knowledge, server = node.assistant.knowledge, node.config.server

    @app.get(
        "/v1/passages/{passage_id:path}",
        tags=["passages"],
        **described(
            "A passage by its id", shapes.Passage, "passage-not-found", "invalid-request", "knowledge-unavailable"
        ),
    )
    async def passage(passage_id: Annotated[str, InPath(min_length=1, max_length=256)]) -> Response:
        found = await knowledge.passage(passage_id) if knowledge is not None else None
        if found is None:
            raise Refused(PASSAGE_NOT_FOUND)
        return json_reply(shapes.passage_of(found))

    @app.get(
        "/v1/passages",
        tags=["passages"],
        **described(
            "The passage around a citation",
            shapes.Passage,
            *("passage-not-found", "invalid-request", "knowledge-unavailable"),
            text="A citation's `passage_url` leads here.",
        ),
    )
    async def around(
        document: Annotated[str, Query(min_length=1, max_length=1000, description="The citation's document.")],
        start: Annotated[int, Query(ge=0, le=2**53, description="Its start, in characters.")],
        end: Annotated[int, Query(ge=0, le=2**53, description="Its end.")],
        collection: Annotated[str, Query(max_length=64, description="Its collection, empty for the default.")] = "",
    ) -> Response:
        text = await _text(knowledge, document, collection)
        if text is None or not start <= end <= len(text):
            raise Refused(PASSAGE_NOT_FOUND)
        first, last = _stretch(text, start, end)
        return json_reply(shapes.Passage("", document, "", None, first, last, text[first:last], collection))

    @app.get("/v1/info", tags=["node"], **described("Which node this is, and what it can do", shapes.Info))
    async def info(request: Request) -> Response:
        model = node.assistant.model
        return json_reply(
            shapes.Info(
                "holdfast",
                __version__,
                node.name,
                list(node.config.assistant.languages),
                model.name if model is not None else None,
                knowledge is not None,
                server.max_input_chars,
                server.max_body_bytes,
                server.on_busy,
                sees_traces(request, node.config),
            )
        )

    @app.get("/livez", tags=["node"], **described("Whether the process runs", shapes.Ready))
    async def alive() -> Response:
        return json_reply(shapes.Ready("alive"))

    probe = _Probe(node)

    @app.get(
        "/readyz",
        tags=["node"],
        **described("Whether to send requests here", shapes.Ready, "draining", "store-unavailable"),
    )
    async def ready() -> Response:
        if node.desk.draining:
            raise Refused(DRAINING)
        await probe()
        return json_reply(shapes.Ready("ready"))

    @app.get(
        "/metrics",
        tags=["node"],
        **described("Counts, for Prometheus", None, content={"text/plain": {"schema": {"type": "string"}}}),
    )
    async def metrics() -> Response:
        return Response(node.metrics.text(), media_type=CONTENT_TYPE)


class _Probe:
    """Asks the store, at most once a second, whoever asks."""

    def __init__(self, node: Node) -> None:
        self._store = node.store
        self._good_until = 0.0

    async def __call__(self) -> None:
        if time.monotonic() < self._good_until:
            return
        try:
            async with asyncio.timeout(_PROBE_S):
                await self._store.exists(_PROBE)
        except StoreError:
            raise
        except TimeoutError:
            raise StoreUnavailable(f"the store did not answer within {_PROBE_S:g} s") from None
        self._good_until = time.monotonic() + _PROBE_EVERY_S


def _stretch(text: str, start: int, end: int) -> tuple[int, int]:
    """Whole lines around a place; of an endless line, as much as is reasonable."""
    end = min(end, start + _LONGEST)
    first = text.rfind("\n", 0, max(0, start - _AROUND)) + 1
    last = text.find("\n", min(len(text), end + _AROUND))
    last = len(text) if last < 0 else last
    return max(first, start - 2 * _AROUND), min(last, end + 2 * _AROUND)
