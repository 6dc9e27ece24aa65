"""An HTTP API that does what a test's script says: for what a real server cannot be made to show (slow, broken, hostile streams).

It serves the page as the real server does, and follows docs/http-api.md.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from holdfast.server.pages import PAGE, PAGE_POLICY

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_HOLD_S: Final = 20.0
NODE: Final = "node-a"


class Send(NamedTuple):
    """One event."""

    kind: str
    data: dict[str, Any]


class Wait(NamedTuple):
    """Until the test calls `ScriptedApi.go` with this name, as often as it waits."""

    name: str


class Cut(NamedTuple):
    """Breaks the connection."""


class Refuse(NamedTuple):
    """An answer that is not a stream; as the first step only. ``body`` is a problem, or a proxy's HTML."""

    status: int
    body: dict[str, Any] | str = ""
    headers: tuple[tuple[str, str], ...] = ()


Step = Send | Wait | Cut | Refuse


class Received(NamedTuple):
    """A turn's request; ``method`` is GET where it is only followed."""

    key: str
    last_event_id: str
    authorization: str
    input: str
    on_busy: str = ""
    method: str = "POST"


def token(text: str) -> Send:
    return Send("token", {"text": text})


def done(reply: str, **more: Any) -> Send:
    outcome = {"status": "completed", "reply": reply, "citations": [], "metadata": {}, "version": 2, "start": 0}
    return Send("done", {**outcome, "attempts": 1, "replayed": False, "node": NODE, **more})


def cancelled(reply: str) -> Send:
    return done(reply, status="cancelled", metadata={"cancelled": True} if reply else {})


def parked(waiting_for: str = "", left: float = 3600.0) -> Send:
    return Send("parked", {"status": "parked", "waiting_for": waiting_for, "left": left})


def answer(reply: str, **more: Any) -> tuple[Step, ...]:
    """A whole turn."""
    return Send("status", {"stage": "answer"}), token(reply), done(reply, **more)


def problem(slug: str, status: int, detail: str = "details") -> dict[str, Any]:
    return {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": detail}


class ScriptedApi(ThreadingHTTPServer):
    """Turns go by the script: the n-th request gets the n-th attempt, further ones the last; those of an input with a script of its
    own by that.

    Attributes:
        received, cancelled, signals: what was asked for: turns, ids of turns to end, names and bodies of signals.
        refusals: what requests to end or signal a turn get, one after the other, before one is carried out.
        ends: what a turn that was ended had said, by its input; a turn without is not known.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.attempts: list[Sequence[Step]] = [answer("Hello.")]
        self.received: list[Received] = []
        self.messages: list[dict[str, Any]] = []
        self.passage: dict[str, Any] | None = None
        self.access_key = ""
        self.on_busy = "queue"
        self.cancelled: list[str] = []
        self.signals: list[tuple[str, dict[str, Any]]] = []
        self.refusals: list[Refuse] = []
        self.ends: dict[str, str] = {}
        self._scripts: dict[str, list[Sequence[Step]]] = {}
        self._gates: dict[str, threading.Semaphore] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def script(self, *attempts: Sequence[Step]) -> None:
        self.attempts = list(attempts)

    def script_of(self, input: str, *attempts: Sequence[Step]) -> None:
        self._scripts[input] = list(attempts)

    def input_of(self, key: str) -> str:
        return next((received.input for received in self.received if received.key == key), "")

    def inputs(self) -> list[str]:
        """Of all requests so far, in order."""
        return [received.input for received in self.received]

    def attempt(self, received: Received) -> Sequence[Step]:
        """What this request gets."""
        own = self._scripts.get(received.input)
        number = len([one for one in self.received if own is None or one.input == received.input])
        self.received.append(received)
        attempts = self.attempts if own is None else own
        return attempts[min(number, len(attempts) - 1)]

    def go(self, name: str) -> None:
        """Lets one `Wait` of this name end."""
        self.gate(name).release()

    def gate(self, name: str) -> threading.Semaphore:
        return self._gates.setdefault(name, threading.Semaphore(0))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is nothing to print."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/v1/"):
            self._file(path)
        elif not self._allowed():
            self._json(401, problem("unauthorized", 401))
        elif path == "/v1/info":
            info = {"name": "holdfast", "version": "0", "node": NODE, "max_input_chars": 200}
            self._json(200, {**info, "on_busy": self.server.on_busy})
        elif path == "/v1/passages":
            found = self.server.passage
            self._json(200 if found else 404, found or problem("passage-not-found", 404))
        elif path.endswith("/messages"):
            self._messages()
        elif path.endswith("/events"):
            key = path.split("/")[-2]
            self._turn(self._received(key, self.server.input_of(key), method="GET"))
        else:
            self._json(404, problem("not-found", 404))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if not self._allowed():
            self._json(401, problem("unauthorized", 401))
        elif self.path == "/v1/sessions":
            self._json(201, {"id": "s1"})
        elif self.path == "/v1/login":
            self._json(403, problem("login-off", 403))
        elif "/signals/" in self.path:
            self.server.signals.append((self.path.split("/")[-1], body))
            if not self._refused():
                self._json(202, {"session_id": "s1", "turn_id": body["turn_id"]})
        else:
            key = self.headers.get("Idempotency-Key", "")
            self._turn(self._received(key, body["input"], on_busy=body.get("on_busy", "")))

    def do_DELETE(self) -> None:
        key = self.path.split("/")[-1]
        self.server.cancelled.append(key)
        said = self.server.ends.get(self.server.input_of(key))
        if self._refused():
            return
        if said is None:
            self._json(404, problem("turn-not-found", 404))
        else:
            self._json(200, cancelled(said).data)

    def _received(self, key: str, input: str, **more: str) -> Sequence[Step]:
        last, authorization = self.headers.get("Last-Event-ID", ""), self.headers.get("Authorization", "")
        return self.server.attempt(Received(key, last, authorization, input, **more))

    def _refused(self) -> bool:
        if not self.server.refusals:
            return False
        self._turn([self.server.refusals.pop(0)])
        return True

    def _allowed(self) -> bool:
        wanted = self.server.access_key
        return not wanted or self.headers.get("Authorization") == f"Bearer {wanted}"

    def _turn(self, steps: Sequence[Step]) -> None:
        if isinstance(steps[0], Refuse):
            refuse = steps[0]
            if isinstance(refuse.body, str):
                self._reply(refuse.status, refuse.body.encode(), "text/html", refuse.headers)
            else:
                self._json(refuse.status, refuse.body, refuse.headers)
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number, step in enumerate(steps):
            match step:
                case Send(kind, data):
                    text = json.dumps(data)
                    self.wfile.write(f"id: run.{number}\nevent: {kind}\ndata: {text}\n\n".encode())
                    self.wfile.flush()
                case Wait(name):
                    self.server.gate(name).acquire(timeout=_HOLD_S)
                case Cut():
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                case Refuse():
                    raise AssertionError("a stream cannot be refused half-way")

    def _messages(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        limit = int(query["limit"][0])
        total = len(self.server.messages)
        start = int(query["start"][0]) if "start" in query else max(0, total - limit)
        self._json(200, {"messages": self.server.messages[start : start + limit], "start": start, "total": total})

    def _file(self, path: str) -> None:
        file = PAGE / (path.lstrip("/") or "index.html")
        policy = (("Content-Security-Policy", PAGE_POLICY),)
        if file.is_file():
            self._reply(200, file.read_bytes(), _TYPES[file.suffix], policy)
        else:
            self._json(404, problem("not-found", 404))

    def _json(self, status: int, value: Any, headers: Sequence[tuple[str, str]] = ()) -> None:
        media = "application/json" if status < 400 else "application/problem+json"
        self._reply(status, json.dumps(value).encode(), media, headers)

    def _reply(self, status: int, content: bytes, media: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", media), ("Content-Length", str(len(content))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
