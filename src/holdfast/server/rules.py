"""What each route needs of its caller: one table, and the check of it before a route does anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request

from holdfast.config.access import ScopeName
from holdfast.errors import ConfigError
from holdfast.server.callers import Role, caller_of, is_identified
from holdfast.server.problems import OPERATORS_ONLY, SCOPE_MISSING, UNAUTHORIZED, Refused

STAFF: Final[frozenset[Role]] = frozenset({"operator", "admin"})
_ALL: Final[frozenset[Role]] = frozenset(get_args(Role))


class Rule(msgspec.Struct, frozen=True):
    """What a route needs.

    Attributes:
        scope: which a key with scopes must have; "" needs none. roles: which may ask at all. Whose sessions, `guard` knows.
        open: nobody has to say who it is. signed: the request is signed by a platform instead.
    """

    scope: ScopeName | Literal[""] = ""
    roles: frozenset[Role] = _ALL
    open: bool = False
    signed: bool = False


def needs(scope: ScopeName | Literal[""], roles: frozenset[Role] = _ALL) -> Rule:
    """The rule of a route that asks for an identity."""
    return Rule(scope, roles)


_SESSION: Final = "/v1/sessions/{session_id}"
_TURN: Final = _SESSION + "/turns/{turn_id}"

RULES: Final[Mapping[tuple[str, str], Rule]] = {
    ("POST", "/v1/sessions"): needs("sessions:write"),
    ("GET", "/v1/sessions"): needs("sessions:read"),
    ("GET", _SESSION): needs("sessions:read"),
    ("DELETE", _SESSION): needs("sessions:write"),
    ("GET", _SESSION + "/messages"): needs("sessions:read"),
    ("POST", _SESSION + "/turns"): needs("turns:write"),
    ("GET", _TURN + "/events"): needs("sessions:read"),
    ("GET", _TURN + "/trace"): needs("traces:read"),  # of users only where `[trace] on_page` says so
    ("DELETE", _TURN): needs("turns:write"),
    ("POST", _SESSION + "/signals/{name}"): needs("turns:write"),
    ("GET", "/v1/handovers"): needs("handover", STAFF),
    ("POST", _SESSION + "/handover/replies"): needs("handover", STAFF),
    ("POST", _SESSION + "/handover/end"): needs("handover", STAFF),
    ("GET", "/v1/passages/{passage_id}"): needs("sessions:read"),
    ("GET", "/v1/passages"): needs("sessions:read"),
    ("GET", "/v1/info"): needs(""),
    ("GET", "/v1/me"): needs(""),
    ("POST", "/v1/visit"): Rule(open=True),
    ("POST", "/v1/login"): needs(""),
    ("POST", "/v1/logout"): needs(""),
    ("GET", "/metrics"): needs("metrics:read", STAFF),  # where `[access] metrics` asks for it
    ("POST", "/v1/channels/webhook/{name}"): Rule(signed=True),
    ("GET", "/v1/channels/webhook/{name}"): Rule(signed=True),
}
"""By method and path, as the description has them."""

OPEN: Final = frozenset(named for named, rule in RULES.items() if rule.open)
"""Routes that find out themselves who asks."""


async def enforce(request: Request) -> None:
    """For every route: refuses a caller who may not do such a thing at all. Raises `Refused`."""
    path: str = getattr(request.scope.get("route"), "path_format", "")
    rule = RULES.get((request.method, path))
    if rule is None or rule.open or rule.signed:
        return
    if not is_identified(request) and path.startswith("/v1"):
        raise Refused(UNAUTHORIZED)  # the rim did not see it: never to be taken for everybody
    caller = caller_of(request)
    if caller.role not in rule.roles:
        raise Refused(OPERATORS_ONLY)
    if rule.scope and caller.scopes and rule.scope not in caller.scopes:
        raise Refused(SCOPE_MISSING, f"This access key has not the scope {rule.scope}.")


def check_rules(app: FastAPI) -> None:
    """Raises `ConfigError` where a route of the API has no rule: it would be open to everybody."""
    for route in app.routes:
        path = route.path_format if isinstance(route, APIRoute) else str(getattr(route, "path", ""))
        if not path.startswith("/v1"):
            continue
        methods = (route.methods or ()) if isinstance(route, APIRoute) else ("ALL",)
        for method in methods:
            if (method, path) not in RULES:
                raise ConfigError(f"the route {method} {path} has no rule in holdfast.server.rules")
