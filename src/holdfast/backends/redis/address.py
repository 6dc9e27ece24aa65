"""Where a server is and how to reach it: host, credentials, TLS. Connections are redis-py's."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from holdfast.errors import ConfigError

DEFAULT_PORT: Final = 6379


class Tls(msgspec.Struct, frozen=True):
    """How a server proves itself, and this client to it.

    Attributes:
        ca: file with the certificates of trusted authorities (PEM); "" trusts the system's.
        cert, key: files with this client's certificate and its key (PEM), where the server asks for one.
        server_name: the name that the server's certificate has to carry; "" is the host of the URL.
        verify: False accepts any server: for trials only.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """The settings as OpenSSL takes them. Raises `ConfigError` for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"tls_ca={self.ca!r} cannot be used: {_reason(error)}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert or self.key:
            try:
                context.load_cert_chain(self.cert, self.key or None)
            except (OSError, ssl.SSLError) as error:
                what = f"tls_cert={self.cert!r}" + (f" with tls_key={self.key!r}" if self.key else "")
                raise ConfigError(f"{what} cannot be used: {_reason(error)}") from None
        return context


def _reason(error: OSError) -> str:
    return error.strerror or (getattr(error, "reason", "") or str(error)).replace("_", " ").lower()


class _TlsConnection(SSLConnection):
    """With one context for all connections, and a name of the server's own to check."""

    def __init__(self, *, context: ssl.SSLContext, server_name: str, **options: Any) -> None:
        super().__init__(**options)
        self._context = context
        self._server_name = server_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(super()._connection_arguments())
        arguments["ssl"] = self._context
        if self._server_name:
            arguments["server_hostname"] = self._server_name
        return arguments


class Login(msgspec.Struct, frozen=True):
    """What a connection says first: user and password, name of the client, number of the database."""

    username: str = ""
    password: str = ""
    client_name: str = "holdfast"
    db: int = 0


class Address:
    """One server. `at` is another one with the same credentials.

    Args:
        path: a unix socket, in place of host and port.
        primary: connections to anything but a primary are refused (asked by ROLE).

    Raises:
        ConfigError: TLS files that cannot be used.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_PORT,
        *,
        path: str = "",
        login: Login | None = None,
        tls: Tls | None = None,
        primary: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.login = login or Login()
        self.tls = tls
        self.primary = primary
        self._context = tls.context() if tls else None

    @property
    def where(self) -> str:
        """The server's name in messages."""
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> Address:
        """Another server of the same set: same credentials and TLS."""
        other = object.__new__(Address)
        other.__dict__.update(self.__dict__)
        other.host, other.port, other.path = host, port, ""
        return other

    def connection(self, timeout: float) -> AbstractConnection:
        """An unconnected redis-py connection: RESP2, no retries."""
        login = self.login
        options: dict[str, Any] = {
            "db": login.db,
            "username": login.username or None,
            "password": login.password or None,
            "client_name": login.client_name,
            "protocol": 2,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        }
        if self.path:
            return UnixDomainSocketConnection(path=self.path, **options)
        options.update(host=self.host, port=self.port)
        if self.tls is None or self._context is None:
            return Connection(**options)
        return _TlsConnection(context=self._context, server_name=self.tls.server_name, **options)
