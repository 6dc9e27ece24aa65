"""Redis behind TLS: who is believed, and one clear error for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from holdfast import open_store
from holdfast.errors import ConfigError, OutcomeUnknown, StoreUnavailable
from holdfast.testing import Certificates, RedisServer, TlsRedisServer
from redis_servers import needs


@pytest.fixture(scope="module")
def server() -> Iterator[TlsRedisServer]:
    needs("redis-server")
    with TlsRedisServer(password="p@ss:word/1") as running:
        yield running


@pytest.fixture
def certificates(server: TlsRedisServer) -> Certificates:
    return server.certificates


def url_of(server: TlsRedisServer, *, login: str = ":p%40ss%3Aword%2F1@", host: str = "localhost", **query: str) -> str:
    return f"rediss://{login}{host}:{server.port}/0?{urlencode(query)}"


def right(certificates: Certificates) -> dict[str, str]:
    return {
        "tls_ca": certificates.ca,
        "tls_cert": certificates.client_cert,
        "tls_key": certificates.client_key,
    }


async def turn_works(url: str) -> None:
    async with open_store(url, timeout=3) as store:
        outcome = await store.run_turn("s-tls", lambda turn: turn.reply("x" * 100_000), input="hello")
        assert [message.content for message in outcome.messages][-1] == "x" * 100_000
        assert await store.delete("s-tls")


async def test_a_turn_runs_with_client_certificate_and_password(
    server: TlsRedisServer, certificates: Certificates
) -> None:
    await turn_works(url_of(server, **right(certificates)))


async def test_redis_pys_names_for_the_files_do_as_well(server: TlsRedisServer, certificates: Certificates) -> None:
    files = {
        "ssl_ca_certs": certificates.ca,
        "ssl_certfile": certificates.client_cert,
        "ssl_keyfile": certificates.client_key,
    }
    await turn_works(url_of(server, **files).replace("rediss://", "valkeys://"))


async def test_a_password_from_a_file(server: TlsRedisServer, certificates: Certificates, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss:word/1\n")
    await turn_works(url_of(server, login="", password_file=str(secret), **right(certificates)))


async def test_a_server_name_of_its_own_is_checked(server: TlsRedisServer, certificates: Certificates) -> None:
    await turn_works(url_of(server, host="127.0.0.1", tls_server_name="localhost", **right(certificates)))
    with pytest.raises(ConfigError, match=r"certificate is not accepted.*tls_server_name"):
        await turn_works(url_of(server, tls_server_name="other.example", **right(certificates)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tls_ca": ""}, "certificate is not accepted.*tls_ca"),
        ({"tls_cert": "", "tls_key": ""}, "refuses this client's certificate|closed|cannot be reached"),
        ({"tls_ca": "/nowhere/ca.pem"}, "tls_ca='/nowhere/ca.pem' cannot be used: No such file"),
        ({"tls_cert": "/nowhere/c.pem"}, "tls_cert='/nowhere/c.pem'.*cannot be used"),
        ({"tls_cert": ""}, "tls_key needs tls_cert"),
    ],
)
async def test_each_thing_that_is_wrong_gives_one_clear_error(
    server: TlsRedisServer, certificates: Certificates, change: dict[str, str], says: str
) -> None:
    query = {name: value for name, value in {**right(certificates), **change}.items() if value}
    with pytest.raises((ConfigError, StoreUnavailable), match=says) as caught:
        await turn_works(url_of(server, **query))
    assert "p@ss" not in str(caught.value)


async def test_a_foreign_or_expired_client_certificate_is_refused(
    server: TlsRedisServer, certificates: Certificates
) -> None:
    pairs = [
        (certificates.foreign_cert, certificates.foreign_key),
        (certificates.expired_cert, certificates.expired_key),
    ]
    for cert, key in pairs:
        query = {**right(certificates), "tls_cert": cert, "tls_key": key}
        with pytest.raises((ConfigError, StoreUnavailable), match="refuses this client's certificate"):
            await turn_works(url_of(server, **query))


async def test_a_wrong_password_is_named_without_being_shown(
    server: TlsRedisServer, certificates: Certificates
) -> None:
    with pytest.raises(ConfigError, match="refused the user or password") as caught:
        await turn_works(url_of(server, login=":wrong-one@", **right(certificates)))
    assert "wrong-one" not in str(caught.value)


async def test_tls_towards_a_plain_server_and_plain_towards_tls(
    server: TlsRedisServer, certificates: Certificates, redis_server: RedisServer
) -> None:
    with pytest.raises((ConfigError, StoreUnavailable), match="TLS"):
        await turn_works(f"rediss://127.0.0.1:{redis_server.port}/0?{urlencode({'tls_ca': certificates.ca})}")
    with pytest.raises((ConfigError, StoreUnavailable, OutcomeUnknown), match="rediss"):
        await turn_works(f"redis://127.0.0.1:{server.port}/0")
