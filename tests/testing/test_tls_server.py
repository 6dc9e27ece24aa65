"""The TLS server lets its own client in, and nobody else."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest

from holdfast.testing import RedisServer, TlsRedisServer
from redis_servers import needs

REFUSED: Final = (ssl.SSLError, ConnectionError)
"""The alert, or the closed connection that overtakes it."""


@pytest.fixture(scope="module")
def server() -> Iterator[TlsRedisServer]:
    needs("redis-server", "openssl")
    with TlsRedisServer({"loglevel": "verbose"}, password='p "w\\') as running:
        yield running


def ask(server: RedisServer, ca: str, cert: str = "", key: str = "", name: str = "localhost") -> bytes:
    """The first reply to a client with these files."""
    context = ssl.create_default_context(cafile=ca)
    if cert:
        context.load_cert_chain(cert, key)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


def test_it_answers_its_own_client_under_both_names(server: TlsRedisServer) -> None:
    for name in ("localhost", "127.0.0.1"):
        assert ask(server, server.ca, server.client_cert, server.client_key, name).startswith(b"-NOAUTH")
    assert server.command("ECHO", "a") == "a"
    assert server.url == f"rediss://:p%20%22w%5C@localhost:{server.port}/0"
    assert server.url_with_files.startswith(f"{server.url}?tls_ca=/")


def test_it_refuses_a_foreign_an_expired_and_no_certificate(server: TlsRedisServer) -> None:
    files = server.certificates
    for cert, key, why in [
        (files.foreign_cert, files.foreign_key, "certificate verify failed"),
        (files.expired_cert, files.expired_key, "certificate verify failed"),
        ("", "", "peer did not return a certificate"),
    ]:
        before = server.log().count(why)
        with pytest.raises(REFUSED):
            ask(server, files.ca, cert, key)
        ends = time.monotonic() + 10
        while server.log().count(why) == before and time.monotonic() < ends:  # it logs after it has hung up
            time.sleep(0.01)
        assert server.log().count(why) == before + 1, why


def test_the_expired_certificate_lacks_nothing_but_time(server: TlsRedisServer) -> None:
    files = server.certificates
    check = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", files.ca]
    expired = subprocess.run([*check, files.expired_cert], capture_output=True, text=True, timeout=30)
    assert expired.returncode != 0 and "expired" in expired.stderr
    subprocess.run([*check, "-no_check_time", files.expired_cert], check=True, capture_output=True, timeout=30)


def test_a_client_that_trusts_another_authority_refuses_it(server: TlsRedisServer) -> None:
    files = server.certificates
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(server, files.foreign_ca, files.client_cert, files.client_key)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        ask(server, files.ca, files.client_cert, files.client_key, name="elsewhere")


def test_without_tls_nobody_talks_to_it(server: TlsRedisServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.sendall(b"PING\r\n")
        reply = b""
        with suppress(ConnectionError):
            reply = plain.recv(100)
    assert b"PONG" not in reply and b"NOAUTH" not in reply


@pytest.mark.parametrize("auth_clients", ["optional", "no"])
def test_a_client_without_a_certificate_gets_in_where_the_server_lets_it(auth_clients: str) -> None:
    needs("redis-server", "openssl")
    with TlsRedisServer(auth_clients=auth_clients) as server:  # type: ignore[arg-type]  # parametrize gives str
        assert ask(server, server.ca) == b"+PONG\r\n"
        if auth_clients == "optional":
            with pytest.raises(REFUSED):
                ask(server, server.ca, server.certificates.foreign_cert, server.certificates.foreign_key)
