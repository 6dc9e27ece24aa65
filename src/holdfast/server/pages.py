"""Files that the server brings: the chat page, and the page that shows the API's description."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.problems import NOT_FOUND, Refused

PAGE: Final = Path(__file__).parent / "page"
PAGE_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_DOCS_POLICY: Final = f"{PAGE_POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
_DOCS_HTML: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast: the HTTP API</title>
<link rel="icon" href="assets/icon.svg">
<link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script><script src="docs/assets/start.js"></script></body></html>
"""
_DOCS_START: Final = (
    b'SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,'
    b" presets: [SwaggerUIBundle.presets.apis]});\n"
)
_DOCS_FILES: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".woff2": "font/woff2",
    ".webmanifest": "application/json",
}


class Files:
    """Files below one folder, kept in memory until they change; each has an ETag of its content."""

    def __init__(self, root: Path, policy: str) -> None:
        self._root = root.resolve()
        self._policy = policy
        self._read: dict[Path, tuple[tuple[int, int], bytes, str]] = {}

    def reply(self, name: str, request: Request) -> Response:
        """The file, or 304 where the caller has it. Raises `Refused`."""
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root) or not path.is_file():
                raise Refused(NOT_FOUND)
            content, tag = self._content(path)
        except (OSError, ValueError):
            raise Refused(NOT_FOUND) from None
        media = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return page_reply(content, media, self._policy, request, tag)

    def _content(self, path: Path) -> tuple[bytes, str]:
        found = path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        kept = self._read.get(path)
        if kept is None or kept[0] != stamp:
            content = path.read_bytes()
            kept = self._read[path] = (stamp, content, _tag(content))
        return kept[1], kept[2]


def page_reply(content: bytes, media: str, policy: str, request: Request, tag: str = "") -> Response:
    """Something for a browser, to be asked for again only where it changed."""
    tag = tag or _tag(content)
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-DNS-Prefetch-Control": "off",  # the name of a link's host is asked for by who clicks it, not by who reads it
    }
    seen = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in seen or "*" in seen:
        return Response(None, 304, headers)
    return Response(content, 200, headers, media)


def add_page_routes(app: FastAPI, page: Path = PAGE) -> None:
    """The chat page at ``/``, its files under ``/assets/`` and ``/vendor/``, and ``/docs``."""
    files = Files(page, PAGE_POLICY)
    docs = _docs_files()

    async def index(request: Request) -> Response:
        return files.reply("index.html", request)

    async def asset(request: Request) -> Response:
        return files.reply(request.url.path.removeprefix(request.scope.get("root_path", "")).lstrip("/"), request)

    async def docs_page(request: Request) -> Response:
        if docs is None:
            raise Refused(
                NOT_FOUND, "The page needs fastapi-offline (in the `server` extra); /openapi.json is there without it."
            )
        return page_reply(_DOCS_HTML, "text/html", _DOCS_POLICY, request)

    async def docs_asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "start.js":
            return page_reply(_DOCS_START, "text/javascript", _DOCS_POLICY, request)
        if docs is None or name not in _DOCS_FILES:
            raise Refused(NOT_FOUND)
        return docs.reply(name, request)

    for path, endpoint in (
        ("/", index),
        ("/assets/{name:path}", asset),
        ("/vendor/{name:path}", asset),
        ("/docs", docs_page),
        ("/docs/assets/{name}", docs_asset),
    ):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)


def _docs_files() -> Files | None:
    """Swagger UI as fastapi-offline packs it; its code is not used."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return None
    return Files(Path(spec.origin).parent / "static", _DOCS_POLICY)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
