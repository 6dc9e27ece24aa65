"""An identity provider on a local socket: its keys, and tokens that it signs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "holdfast"
RSA_1 = rsa.generate_private_key(65537, 2048)
RSA_2 = rsa.generate_private_key(65537, 2048)
RSA_SHORT = rsa.generate_private_key(65537, 1024)
EC_1 = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """A public key as providers publish it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**made, "kid": kid, "use": "sig", **more}


class Provider(ThreadingHTTPServer):
    """``keys``: what it publishes. ``answer``: sent instead, if it is set. ``asked``: paths, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys = [public_jwk(RSA_1, "one")]
        self.answer: tuple[int, bytes] | None = None
        self.about: dict[str, Any] = {}
        self.asked: list[str] = []
        self.pause = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def claims(self, **more: Any) -> dict[str, Any]:
        """Good ones, with some of them other; None leaves one out."""
        now = int(time.time())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, **more}
        return {name: value for name, value in made.items() if value is not None}

    def token(self, key: Any = RSA_1, kid: str | None = "one", alg: str = "RS256", **more: Any) -> str:
        """A signed token; ``header`` adds to its head."""
        header = {**({"kid": kid} if kid else {}), **more.pop("header", {})}
        return jwt.encode(self.claims(**more), key, algorithm=alg, headers=header)


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        time.sleep(self.server.pause)
        status, body = self.server.answer or (200, json.dumps(self._document()).encode())
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _document(self) -> Any:
        if self.path.startswith("/.well-known/"):
            return {"issuer": self.server.url, "jwks_uri": f"{self.server.url}/keys", **self.server.about}
        return {"keys": self.server.keys}

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def provider() -> Iterator[Provider]:
    """One that answers until the end of the context."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
