"""A primary, its replicas and the Sentinels that watch them, for a test to break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict, cast

from holdfast.testing.access import Access, in_quotes
from holdfast.testing.places import Loopback, Place, ServerMissing
from holdfast.testing.server_group import close_all, start_all, wait_until
from holdfast.testing.server_process import RedisProcess
from holdfast.testing.servers import SAVED_FOR_A_KILL, RedisServer

_POLL_S: Final = 0.02
_ASK_S: Final = 1.0
_TILT_MS: Final = 3000
_AT_START: Final = {"info-period": 100, "publish-period": 100}
# A Sentinel that was cut off turns the new primary back into a replica of the old one unless it hears of the failover within
# four publish periods: while faults are about, that time has to be longer than what the others take to tell it.
_HASTE: Final = {"info-period": 100, "publish-period": 1000}
_USUAL: Final = {"info-period": 10_000, "publish-period": 2000}
_DATA_OPTIONS: Final = {**SAVED_FOR_A_KILL, "repl-diskless-sync-delay": "0"}


class NoPrimary(RuntimeError):
    """The Sentinels name no server that says of itself that it is the primary."""


class DataServer(RedisServer):
    """One of the set's data servers. Started again after the Sentinels moved on, it comes back as a replica.

    ``options["replicaof"]`` ("host port") is whom it follows from its next start on.
    """

    def __init__(
        self, options: Mapping[str, str], access: Access, place: Place, role: Callable[[DataServer], str]
    ) -> None:
        super().__init__(options, access=access, place=place)
        self._role = role
        self._started_before = False

    def _config_lines(self) -> list[str]:
        return [*super()._config_lines(), *self.access.follow_lines()]

    def _start(self) -> None:
        if self._started_before and not self.up:
            following = self._role(self)
            self.options.pop("replicaof", None)
            if following:
                self.options["replicaof"] = following
        super()._start()
        self._started_before = True


class SentinelServer(RedisProcess):
    """One Sentinel. It keeps what it learned in its own configuration file, also over a restart.

    After a pause of 2 s (frozen, or a busy machine) a Sentinel acts on nothing for a while (TILT): here for 3 s in place of 30.

    Args:
        lines: what it watches, as lines of sentinel.conf.
    """

    def __init__(self, lines: Callable[[], list[str]], access: Access, place: Place) -> None:
        super().__init__(access, place)
        self._lines = lines

    def _arguments(self) -> list[str]:
        return ["--sentinel"]

    def _config_lines(self) -> list[str]:
        return self._lines()

    def _write_config(self, path: Path) -> None:
        if not path.exists():
            super()._write_config(path)

    def _start(self) -> None:
        super()._start()
        self.command("SENTINEL", "DEBUG", "tilt-period", _TILT_MS)

    def master(self, service: str) -> dict[str, str]:
        """What it knows of the primary: SENTINEL MASTER."""
        return _mapping(self.command("SENTINEL", "MASTER", service, timeout=_ASK_S))

    def replicas(self, service: str) -> list[dict[str, str]]:
        """What it knows of the replicas: SENTINEL REPLICAS."""
        found = self.command("SENTINEL", "REPLICAS", service, timeout=_ASK_S)
        return [_mapping(one) for one in cast(list[object], found)]


class SentinelSettings(TypedDict, total=False):
    """What `SentinelSet` takes besides numbers and places of servers."""

    down_after_ms: int
    failover_timeout_ms: int
    parallel_syncs: int
    access: Access | None
    sentinel_access: Access | None
    options: Mapping[str, str] | None


class SentinelSet:
    """One primary, replicas and Sentinels on loopback (or other places), for a ``with`` or ``async with``.

    Everything is saved (``appendonly yes``, for a kill and not for a power cut: ``appendfsync no``): a server that comes
    back empty would lose what it had acknowledged. Every Sentinel knows all others and all replicas once it has
    started, so that a failover works at once. After a failover that failed the Sentinels begin no other for twice the
    ``failover_timeout_ms``.

    Args:
        replicas: how many besides the primary.
        sentinels: how many; a majority of them fails over.
        down_after_ms: after how long without a reply a server counts as down, in milliseconds; at least 1000: busy machines
            pause servers for shorter.
        failover_timeout_ms: the Sentinels' ``failover-timeout``, in milliseconds.
        parallel_syncs: how many replicas take over the new primary's data at a time.
        access: user, password and TLS of the data servers.
        sentinel_access: user and password of the Sentinels themselves, which share the data servers' certificates.
        options: more lines of the data servers' redis.conf.
        places: where they run: the n-th data server and the n-th Sentinel on the n-th place, round and round.

    Raises:
        ServerMissing: redis-server is not installed, or the set did not come up.
    """

    service = "mymaster"

    def __init__(
        self,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        down_after_ms: int = 1000,
        failover_timeout_ms: int = 4000,
        parallel_syncs: int = 1,
        access: Access | None = None,
        sentinel_access: Access | None = None,
        options: Mapping[str, str] | None = None,
        places: Sequence[Place] = (),
    ) -> None:
        if down_after_ms < 1000:
            raise ValueError("down_after_ms below 1000 makes busy servers look dead: give 1000 or more")
        self._down_after_ms = down_after_ms
        self._failover_timeout_ms = failover_timeout_ms
        self._parallel_syncs = parallel_syncs
        self._access = access or Access()
        login = sentinel_access or Access()
        own = Access(login.username, login.password, self._access.certificates, self._access.auth_clients)
        self._sentinel_access = own
        sites = places or [Loopback()]
        settings = {**_DATA_OPTIONS, **(options or {})}
        self.servers: list[RedisServer] = [
            DataServer(settings, self._access, sites[n % len(sites)], self._role_of) for n in range(1 + replicas)
        ]
        self.sentinels = [SentinelServer(self._watch_lines, own, sites[n % len(sites)]) for n in range(sentinels)]

    # --- life ---

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    def _start(self) -> None:
        try:
            first, *others = self.servers
            start_all([first])
            for server in others:
                cast(DataServer, server).options["replicaof"] = f"{first.host} {first.port}"
            start_all(others)
            start_all(self.sentinels)
            self._wait_until_whole(30.0, _AT_START)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        close_all([*self.sentinels, *self.servers])

    def _wait_until_whole(self, within: float, periods: Mapping[str, int] = _HASTE) -> None:
        self._look_around(periods)
        try:
            wait_until(self._trouble, within)
        finally:
            self._look_around(_USUAL)

    def _look_around(self, periods: Mapping[str, int]) -> None:
        """How often the Sentinels look around, in milliseconds."""
        pairs: list[str | int] = [part for period in periods.items() for part in period]
        for sentinel in self.sentinels:
            with suppress(OSError, RuntimeError):  # it is down: it starts with the usual ones
                sentinel.command("SENTINEL", "DEBUG", *pairs, timeout=_ASK_S)

    def _watch_lines(self) -> list[str]:
        primary, name = self.servers[0], f"{self.service}"
        login = [f"sentinel auth-user {name} {self._access.username}"] if self._access.username else []
        if self._access.password:
            login.append(f"sentinel auth-pass {name} {in_quotes(self._access.password)}")
        own = self._sentinel_access
        if own.username:
            login.append(f"sentinel sentinel-user {own.username}")
        if own.password:
            login.append(f"sentinel sentinel-pass {in_quotes(own.password)}")
        return [
            f"sentinel monitor {name} {primary.host} {primary.port} {len(self.sentinels) // 2 + 1}",
            f"sentinel down-after-milliseconds {name} {self._down_after_ms}",
            f"sentinel failover-timeout {name} {self._failover_timeout_ms}",
            f"sentinel parallel-syncs {name} {self._parallel_syncs}",
            *login,
        ]

    # --- who is what ---

    @property
    def url(self) -> str:
        """What `open_store` takes, with user, password and TLS files of the servers and the Sentinels."""
        hosts = ",".join(sentinel.where for sentinel in self.sentinels)
        own = self._sentinel_access
        given = {"sentinel_username": own.username, "sentinel_password": own.password}
        query = self._access.query({name: value for name, value in given.items() if value})
        return f"{self._access.scheme}+sentinel://{self._access.userinfo}{hosts}/{self.service}/0{query}"

    def primary(self) -> RedisServer:
        """The server that the Sentinels name (the newest answer counts) and that says the same of itself.

        Raises:
            NoPrimary: there is none now, or none that answers.
        """
        named = self._named()
        if named is None:
            raise NoPrimary("no Sentinel answers")
        if not named.up or _role(named)[0] != "master":
            raise NoPrimary(f"{named.where}, which the Sentinels name, is not up as primary")
        return named

    def replicas(self) -> list[RedisServer]:
        """The servers that say of themselves that they are replicas."""
        return [server for server in self.servers if server.up and _role(server)[0] == "slave"]

    def _named(self) -> RedisServer | None:
        """Whom the Sentinels name."""
        answers = [facts for sentinel in self.sentinels if (facts := self._facts(sentinel))]
        if not answers:
            return None
        newest = max(answers, key=lambda facts: int(facts["config-epoch"]))
        return self._server_at(newest["ip"], newest["port"])

    def _facts(self, sentinel: SentinelServer) -> dict[str, str]:
        """What a Sentinel says of the primary; nothing if it does not answer."""
        try:
            return sentinel.master(self.service) if sentinel.up else {}
        except (OSError, RuntimeError):
            return {}

    def _server_at(self, host: str, port: str) -> RedisServer | None:
        return next((server for server in self.servers if server.where == f"{host}:{port}"), None)

    def _role_of(self, starting: DataServer) -> str:
        """Whom a server has to follow that starts again: "host port"; '' for nobody.

        Waits for the Sentinels to name another one; a server on its own data beside a new primary would be a second one.
        Where they never do (all other servers are down), it starts as what it was.
        """
        ends = time.monotonic() + (self._down_after_ms + 3 * self._failover_timeout_ms) / 1000
        while any(server.up for server in self.servers) and any(sentinel.up for sentinel in self.sentinels):
            named = self._named()
            if named is not None and named is not starting:
                return f"{named.host} {named.port}"
            if time.monotonic() > ends:
                break
            time.sleep(_POLL_S)
        return starting.options.get("replicaof", "")

    # --- what a test does with it ---

    async def failover(self, within: float = 30.0) -> RedisServer:
        """SENTINEL FAILOVER: the Sentinels promote a replica of a healthy primary. Returns the new one when it is up."""
        old = self.primary()
        ends = time.monotonic() + within
        while True:
            try:
                self._any_sentinel().command("SENTINEL", "FAILOVER", self.service)
                break
            except RuntimeError:  # NOGOODSLAVE, INPROG: a moment after the last one
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(0.1)
        return await self.wait_for_primary(other_than=old, within=max(0.0, ends - time.monotonic()))

    async def wait_for_primary(self, other_than: RedisServer | None = None, within: float = 30.0) -> RedisServer:
        """The primary, once there is one (and it is another).

        Raises:
            TimeoutError: there is none ``within`` so many seconds.
        """

        def trouble() -> str:
            try:
                return "it is still the same" if self.primary() is other_than else ""
            except (OSError, RuntimeError) as error:
                return str(error)

        await asyncio.to_thread(wait_until, trouble, within)
        return self.primary()

    async def wait_until_synced(self, within: float = 30.0) -> None:
        """Returns once every server that is up follows the primary and has all its data, and all Sentinels see it so.

        Meanwhile the Sentinels look around more often: by themselves they take some 20 s to turn a former primary into a replica.

        Raises:
            TimeoutError: not ``within`` so many seconds.
        """
        await asyncio.to_thread(self._wait_until_whole, within)

    def _any_sentinel(self) -> SentinelServer:
        for sentinel in self.sentinels:
            if sentinel.up:
                return sentinel
        raise ServerMissing("no Sentinel is up")

    def _trouble(self) -> str:
        """What is missing for a set in which a failover works and loses nothing; '' if nothing is."""
        try:
            primary = self.primary()
            offset = int(primary.info("replication")["master_repl_offset"])
            for server in self.servers:
                if server is primary or not server.up:
                    continue
                facts = server.info("replication")
                followed = f"{facts.get('master_host')}:{facts.get('master_port')}"
                if followed != primary.where or facts.get("master_link_status") != "up":
                    return f"{server.where} does not follow {primary.where}"
                if int(facts["slave_repl_offset"]) < offset:
                    return f"{server.where} lacks data of {primary.where}"
            return next((why for sentinel in self.sentinels if (why := self._blindness(sentinel, primary))), "")
        except (OSError, RuntimeError) as error:
            return str(error)

    def _blindness(self, sentinel: SentinelServer, primary: RedisServer) -> str:
        """What a Sentinel does not see yet."""
        if not sentinel.up:
            return ""
        facts = sentinel.master(self.service)
        if f"{facts['ip']}:{facts['port']}" != primary.where or facts["flags"] != "master":
            return f"the Sentinel {sentinel.where} says {facts['ip']}:{facts['port']} is {facts['flags']}"
        if int(facts["num-other-sentinels"]) < len(self.sentinels) - 1:
            return f"the Sentinel {sentinel.where} knows {facts['num-other-sentinels']} others"
        seen = {
            f"{one['ip']}:{one['port']}"
            for one in sentinel.replicas(self.service)
            if one["flags"] == "slave" and one["master-link-status"] == "ok"
        }
        unseen = {server.where for server in self.servers if server.up and server is not primary} - seen
        return f"the Sentinel {sentinel.where} does not see {', '.join(sorted(unseen))}" if unseen else ""


def _role(server: RedisServer) -> list[Any]:
    try:
        return cast(list[Any], server.command("ROLE", timeout=_ASK_S))
    except (OSError, RuntimeError) as error:
        return [f"no answer: {error}"]


def _mapping(flat: object) -> dict[str, str]:
    parts = cast(list[str], flat)
    return dict(zip(parts[::2], parts[1::2], strict=True))
