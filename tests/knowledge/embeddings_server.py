"""A real HTTP server that speaks OpenAI's ``/embeddings`` with a deterministic embedder: hashed pieces of 2 to 4 characters."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSIONS = 256


def hashed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector that is close for texts that share many pieces."""
    vector = [0.0] * dimensions
    text = f" {text.casefold()} "
    for size in (2, 3, 4):
        for i in range(len(text) - size + 1):
            digest = int.from_bytes(blake2b(text[i : i + size].encode(), digest_size=8).digest(), "little")
            vector[digest % dimensions] += 1.0 if digest >> 63 else -1.0
    return vector


class Hashed:
    """The same as an `Embedder` in this process."""

    def __init__(self, name: str = "hashed", dimensions: int = DIMENSIONS) -> None:
        self.name = name
        self.dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [hashed(text, self.dimensions) for text in texts]


class Noise(Hashed):
    """Vectors that say nothing: of the whole text's hash."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [hashed(blake2b(text.encode()).hexdigest(), self.dimensions) for text in texts]


class EmbeddingsServer:
    """What it does next is set by its attributes.

    Attributes:
        delay: seconds before an answer. status: of the answers. body: sent instead of vectors.
        dimensions: of the vectors. shuffled: whether the vectors come in another order, by their index.
        asked: texts of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.delay = 0.0
        self.status = 200
        self.body: Any = None
        self.dimensions = DIMENSIONS
        self.shuffled = False
        self.keys: list[str] = []
        self.asked: list[list[str]] = []

    def answer(self, request: dict[str, Any]) -> Any:
        texts = request["input"]
        self.asked.append(texts)
        data = [
            {"object": "embedding", "index": i, "embedding": hashed(text, self.dimensions)}
            for i, text in enumerate(texts)
        ]
        if self.shuffled:
            data.reverse()
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "model": request["model"], "data": data, "usage": usage}


@contextmanager
def embeddings_server() -> Iterator[EmbeddingsServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.keys.append(self.headers["Authorization"])
            time.sleep(served.delay)
            answer = served.answer(request) if served.body is None else served.body
            payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            try:
                self.send_response(served.status if self.path.endswith("/embeddings") else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except OSError:
                pass  # the caller had gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = EmbeddingsServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
