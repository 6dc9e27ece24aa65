"""What a blocking store has in each process that uses it: a backend, and the stores of its tenants over it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.backends.contract import Backend
from holdfast.errors import ConfigError, StoreClosed, StoreUnavailable
from holdfast.sessions.settings import StoreSettings
from holdfast.sync.lazy_backend import LazyBackend
from holdfast.sync.loop_thread import LoopThread, Process, loop_thread, this_process
from holdfast.turns.store import TurnStore
from holdfast.turns.turn import Handler
from holdfast.wiring import anchored, forget_erased, lives_in_process, open_backend, shown_url

if TYPE_CHECKING:
    from holdfast.encryption import Encryption


class _Life:
    """The connection in one process. Everything but the making of it happens on that process's loop."""

    def __init__(self, url: str, settings: StoreSettings, encryption: Encryption | None) -> None:
        async def open_it() -> Backend:
            backend = await open_backend(url, settings, encryption)
            forget_erased(backend, self.first.cache)
            return backend

        scheme = url.partition(":")[0].lower()
        self.home = loop_thread()
        self.backend = LazyBackend(scheme, open_it, closes_at_fork=scheme == "sqlite" and not lives_in_process(url))
        self.stores: dict[str, TurnStore] = {}
        self.first = TurnStore(self.backend, settings)
        self.stores[settings.tenant] = self.first

    async def before_fork(self) -> None:
        await self.backend.before_fork()

    def after_fork(self) -> None:
        self.backend.after_fork()

    async def close(self) -> None:
        self.home.members.discard(self)
        for store in list(self.stores.values()):
            await store.close()

    def abandon(self) -> None:
        """From any thread, when nobody holds the store any more: closes soon."""
        if self.home.process == this_process() and self in self.home.members:
            loop = self.home.loop()
            loop.call_soon_threadsafe(lambda: loop.create_task(self.close()))


class Connection:
    """Opens lazily, in each process for itself; see `holdfast.sync.loop_thread` for why.

    Args:
        url: the store's URL; a relative SQLite path counts from where the process is now.
        settings: the store's settings; further tenants get the same.
    """

    def __init__(self, url: str, settings: StoreSettings, encryption: Encryption | None = None) -> None:
        self.url = anchored(url)
        self._encryption = encryption
        self.settings = settings
        self.handlers: dict[str, tuple[Callable[..., Any], Handler]] = {}
        """Registered by name: the user's function, and what runs it on the loop."""
        self._made_in = this_process()
        self._lives: dict[Process, _Life] = {}
        self._closed = False
        weakref.finalize(self, _abandon, self._lives).atexit = False

    @property
    def home(self) -> LoopThread:
        return self._life().home

    def store(self, tenant: str) -> TurnStore:
        """The async store behind a tenant's blocking one; called on the loop."""
        life = self._life()
        store = life.stores.get(tenant)
        if store is None:
            store = life.stores[tenant] = life.first.for_tenant(tenant)
        for name, (_, runner) in self.handlers.items():
            store.handlers.register(name, runner)
        return store

    def close(self, run: Callable[[_Life], None]) -> None:
        """For good, in this process and in those that it will fork. ``run`` has the life closed on its loop."""
        self._closed = True
        if life := self._lives.get(this_process()):
            run(life)

    def _life(self) -> _Life:
        if self._closed:
            raise StoreClosed(f"this store ({shown_url(self.url)}) was closed by its owner; open another one")
        process = this_process()
        return self._lives.get(process) or self._begin(process)

    def _begin(self, process: Process) -> _Life:
        if process != self._made_in:
            self._check_inherited()
        life = self._lives.setdefault(process, _Life(self.url, self.settings, self._encryption))
        life.home.members.add(life)
        return life

    def _check_inherited(self) -> None:
        if lives_in_process(self.url):
            raise ConfigError(
                f"{shown_url(self.url)} was made before a fork: this process would have other sessions than its parent; make it "
                "in the forked process (gunicorn: post_fork), or use sqlite:///file or redis://, which all processes share"
            )
        if any(life.backend.carried for life in list(self._lives.values())):
            raise StoreUnavailable(
                f"{shown_url(self.url)} was in use during a fork that could not wait for it (from an async handler, or by a C "
                "library); SQLite loses data in such a child: fork from another thread, or make the store after the fork"
            )


def _abandon(lives: dict[Process, _Life]) -> None:
    for life in list(lives.values()):
        life.abandon()


def tenant_settings(settings: StoreSettings, tenant: str) -> StoreSettings:
    return msgspec.structs.replace(settings, tenant=tenant)
