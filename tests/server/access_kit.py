"""A server with a key for every role in two tenants, and the headers of whoever asks."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from server_kit import Scripted

from holdfast import Store, Turn
from holdfast.backends.memory import MemoryBackend
from holdfast.config import Config
from holdfast.server.app import create_app, node_of
from holdfast.server.callers import Caller
from holdfast.server.identities.cookies import CSRF_HEADER, Signer, Token, token_of
from holdfast.server.identities.keys import hash_of
from holdfast.sessions.settings import settings_from

SECRET = "s" * 40
TENANTS = ("", "bank")
ROLES: dict[str, dict[str, Any]] = {
    "application": {"role": "user"},
    "user": {"role": "user", "user": "ann"},
    "operator": {"role": "operator", "user": "olga"},
    "admin": {"role": "admin", "user": "root"},
}
SIGNER = Signer([SECRET], secure=False)


def key_of(name: str, tenant: str = "") -> str:
    """The key in clear; what is fine for a test would be no key."""
    return f"hf_{name}@{tenant}"


def section(name: str, tenant: str = "", **more: Any) -> dict[str, Any]:
    """A key's entry in the config."""
    return {"name": f"{name}@{tenant}", "hash": hash_of(key_of(name, tenant)), "tenant": tenant, **more}


def bearer(name: str, tenant: str = "") -> dict[str, str]:
    """The header of whoever has that key."""
    return {"Authorization": f"Bearer {key_of(name, tenant)}"}


def cookie(token: Token, *, csrf: bool = True) -> dict[str, str]:
    """The headers of a browser with that cookie."""
    sent = {"Cookie": f"{SIGNER.cookie}={SIGNER.sign(token)}"}
    return {**sent, CSRF_HEADER: SIGNER.csrf(token)} if csrf else sent


def visitors_cookie(user: str, tenant: str = "bank", *, csrf: bool = True, left: float = 600) -> dict[str, str]:
    """The headers of a visitor of that id."""
    token = Token(os.urandom(16).hex(), int(time.time() + left), tenant, user, name="visitor", visitor=True)
    return cookie(token, csrf=csrf)


def users_cookie(user: str, tenant: str = "", *, csrf: bool = True, role: Any = "user") -> dict[str, str]:
    """The headers of somebody who logged in."""
    return cookie(token_of(Caller(tenant, user, role, name=user), 600), csrf=csrf)


class Noted(Scripted):
    """As `Scripted`; ``park`` waits for the signal ``go``, and every attempt leaves a trace."""

    async def __call__(self, turn: Turn) -> None:
        turn.trace = _Trace()
        if turn.text == "park":
            await turn.wait_for("go")
        await super().__call__(turn)


class _Trace:
    keep = 60.0

    def document(self, error: str) -> dict[str, Any]:
        return {"since": 0.0, "ms": 1.0, "entries": [], "left_out": 0, "error": error}


class Site(NamedTuple):
    """The server of a test."""

    app: FastAPI
    http: httpx.AsyncClient
    store: Store

    def of(self, tenant: str) -> Store:
        """The tenant's store."""
        return self.store.for_tenant(tenant) if tenant else self.store


@asynccontextmanager
async def site(access: dict[str, Any] | None = None, **sections: Any) -> AsyncIterator[Site]:
    """A server on a memory store. ``access`` is added to the section, ``sections`` to the config."""
    keys = [section(role, tenant, **ROLES[role]) for tenant in TENANTS for role in ROLES]
    tree: dict[str, Any] = {
        "keys": keys,
        "visitors": True,
        "visitor_tenant": "bank",
        "secret": SECRET,
        "metrics": "keys",
        **(access or {}),
    }
    store = Store(MemoryBackend(), settings_from({"lease": 2, "poll": 0.05, "wait": 0.1, "settle": 0.3}))
    config = Config(store="memory:", access=tree, **sections)  # type: ignore[arg-type]  # as a file has it
    app = create_app(store, Noted(), config)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test", timeout=20) as http:
        yield Site(app, http, store)
    await node_of(app).desk.drain(0)
    audit = node_of(app).audit
    if audit is not None:
        await audit.flush()
    await store.close()
