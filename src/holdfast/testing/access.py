"""How clients get into a Redis server of a test: user, password, TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from holdfast.testing.certificates import Certificates

AuthClients = Literal["yes", "optional", "no"]


@dataclass(frozen=True)
class Access:
    """What a server asks of its clients, and what gets one in.

    Attributes:
        username: a user of that name with all rights, and no default user; '' is the default user.
        password: '' asks for none.
        certificates: TLS with these, and no port without it; None is no TLS.
        auth_clients: whether clients have to show a certificate (``tls-auth-clients``).
    """

    username: str = ""
    password: str = ""
    certificates: Certificates | None = None
    auth_clients: AuthClients = "yes"

    def port_lines(self, port: int) -> list[str]:
        """Lines of redis.conf: port and TLS, also towards other servers."""
        files = self.certificates
        if files is None:
            return [f"port {port}"]
        return [
            "port 0",
            f"tls-port {port}",
            f"tls-ca-cert-file {in_quotes(files.ca)}",
            f"tls-cert-file {in_quotes(files.server_cert)}",
            f"tls-key-file {in_quotes(files.server_key)}",
            f"tls-auth-clients {self.auth_clients}",
            "tls-replication yes",
        ]

    def login_lines(self) -> list[str]:
        """Lines of redis.conf: who may log in."""
        if self.username:
            return [f"user {self.username} on {in_quotes('>' + self.password)} ~* &* +@all", "user default off"]
        return [f"requirepass {in_quotes(self.password)}"] if self.password else []

    def follow_lines(self) -> list[str]:
        """Lines of redis.conf: how a replica logs in to its primary."""
        lines = [f"masteruser {self.username}"] if self.username else []
        return [*lines, f"masterauth {in_quotes(self.password)}"] if self.password else lines

    def login(self) -> list[str]:
        """The AUTH command; [] where none is needed."""
        if self.username:
            return ["AUTH", self.username, self.password]
        return ["AUTH", self.password] if self.password else []

    def tls(self) -> ssl.SSLContext | None:
        """What a client connects with."""
        if self.certificates is None:
            return None
        context = ssl.create_default_context(cafile=self.certificates.ca)
        context.load_cert_chain(self.certificates.client_cert, self.certificates.client_key)
        return context

    @property
    def scheme(self) -> str:
        """What the URL begins with."""
        return "redis" if self.certificates is None else "rediss"

    @property
    def userinfo(self) -> str:
        """What stands before the hosts in a URL, with its ``@``."""
        if not (self.username or self.password):
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"

    def query(self, more: Mapping[str, str] | None = None) -> str:
        """The URL's query: the files of TLS, and what is given; '' where there is nothing."""
        files = self.certificates
        options = {} if files is None else {
            "tls_ca": files.ca, "tls_cert": files.client_cert, "tls_key": files.client_key
        }  # fmt: skip
        options |= more or {}
        return f"?{urlencode(options, safe='/', quote_via=quote)}" if options else ""

    def cli(self) -> list[str]:
        """Arguments of redis-cli; the password goes into the environment as ``REDISCLI_AUTH``."""
        files = self.certificates
        tls = [] if files is None else [
            "--tls", "--cacert", files.ca, "--cert", files.client_cert, "--key", files.client_key
        ]  # fmt: skip
        return [*tls, *(["--user", self.username] if self.username else [])]


def in_quotes(text: str) -> str:
    """A value of redis.conf that may hold blanks and quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
