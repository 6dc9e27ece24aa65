"""Who asks: whose sessions a request may touch, and what it may do there."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request

Role = Literal["user", "operator", "admin"]
"""``user``: own conversations only. ``operator``: those of the tenant, to read and answer. ``admin``: all of the tenant."""

_STATE: Final = "holdfast.caller"


class Caller(msgspec.Struct, frozen=True):
    """Whoever sent a request, as the rim has found out.

    Attributes:
        tenant: whose sessions it sees ("" is the default tenant).
        user: who it is; "" is a trusted application that speaks for any user of the tenant.
        role: see `Role`.
        scopes: of an access key: what it may do; empty is all that its role may.
        name: for the audit log: the key's name, the token's subject, ``visitor``.
        visitor: whether it is an anonymous visitor of the chat page.
    """

    tenant: str = ""
    user: str = ""
    role: Role = "user"
    scopes: frozenset[str] = frozenset()
    name: str = ""
    visitor: bool = False


EVERYBODY: Final = Caller(role="admin", name="everybody")
"""Where the server asks nobody who they are: it listens on loopback only."""


def caller_of(request: Request) -> Caller:
    """Who sent this request."""
    found: Any = request.scope.get(_STATE, EVERYBODY)
    assert isinstance(found, Caller)
    return found


def is_identified(request: Request) -> bool:
    """Whether the rim has found out who sent it."""
    return _STATE in request.scope


def set_caller(scope: Any, caller: Caller) -> None:
    """For the rim: notes who sent the request of this ASGI scope."""
    scope[_STATE] = caller
