"""Real servers for tests: a `redis-server` of one's own, which can be killed, frozen and measured; with TLS too."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from holdfast.testing.access import Access, AuthClients
from holdfast.testing.certificates import Certificates, make_certificates
from holdfast.testing.places import Place, ServerMissing, free_port
from holdfast.testing.server_process import RedisProcess

__all__ = ["SAVED_FOR_A_KILL", "RedisServer", "ServerMissing", "TlsRedisServer", "free_port"]

SAVED_FOR_A_KILL: Final = {"appendonly": "yes", "appendfsync": "no"}
"""Options with which a server that was killed has all that it acknowledged. With ``everysec``, the usual one, it may not: on a
slow disk Redis answers for up to 2 s before it has written."""


class RedisServer(RedisProcess):
    """A `redis-server` on a free loopback port, with a folder of its own, for the length of a ``with`` or ``async with``.

    Args:
        options: lines of redis.conf, like ``{"appendonly": "yes", "maxmemory": "8mb"}``. Nothing is saved by default.
        access: user, password, TLS; none by default.
        place: where it runs; on loopback by default.

    Raises:
        ServerMissing: redis-server is not installed or did not start.
    """

    def __init__(
        self, options: Mapping[str, str] | None = None, *, access: Access | None = None, place: Place | None = None
    ) -> None:
        super().__init__(access, place)
        self.options = {"save": "", "appendonly": "no", **(options or {})}

    def _config_lines(self) -> list[str]:
        return [f"{name} {value}" if value else f'{name} ""' for name, value in self.options.items()]

    @property
    def url(self) -> str:
        """What `open_store` takes; with TLS the files have to be named too, see `url_with_files`."""
        host = self.host if self.access.certificates is None or self.host != "127.0.0.1" else "localhost"
        return f"{self.access.scheme}://{self.access.userinfo}{host}:{self.port}/0"

    @property
    def url_with_files(self) -> str:
        """The `url` with the CA and a client's certificate and key, where there is TLS."""
        return self.url + self.access.query()

    # --- what it did ---

    def calls(self) -> dict[str, int]:
        """How often each command ran since the last `reset_stats`."""
        found = self.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): int(value.split(",")[0].removeprefix("calls="))
            for name, value in found.items()
            if name.startswith("cmdstat_")
        }

    def reset_stats(self) -> None:
        """Sets the counters back to 0."""
        self.command("CONFIG", "RESETSTAT")

    def bytes_received(self) -> int:
        """Bytes that clients have sent it since the last `reset_stats` (this question included)."""
        return int(self.info("stats")["total_net_input_bytes"])

    def cpu_seconds(self) -> float:
        """Processor time of its main thread so far, in seconds."""
        found = self.info("cpu")
        return float(found["used_cpu_user_main_thread"]) + float(found["used_cpu_sys_main_thread"])


class TlsRedisServer(RedisServer):
    """A `RedisServer` that speaks TLS only, with certificates of its own.

    Args:
        options: lines of redis.conf.
        password: of the default user; '' asks for none.
        auth_clients: whether clients have to show a certificate.

    Raises:
        ServerMissing: redis-server or openssl is not installed or failed.
    """

    def __init__(
        self, options: Mapping[str, str] | None = None, *, password: str = "", auth_clients: AuthClients = "yes"
    ) -> None:
        self._made = tempfile.TemporaryDirectory(prefix="holdfast-tls-")
        self.certificates: Certificates = make_certificates(Path(self._made.name))
        access = Access(password=password, certificates=self.certificates, auth_clients=auth_clients)
        super().__init__(options, access=access)

    def _close(self) -> None:
        super()._close()
        self._made.cleanup()

    @property
    def ca(self) -> str:
        """Path of the authority's certificate."""
        return self.certificates.ca

    @property
    def client_cert(self) -> str:
        """Path of a client certificate that the server lets in."""
        return self.certificates.client_cert

    @property
    def client_key(self) -> str:
        """Path of that certificate's key."""
        return self.certificates.client_key
