"""The rates around the API: of whoever the rim has found to be asking, and of addresses whose credentials are not taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.backends.rates import shared_rates
from holdfast.config import Config
from holdfast.server.addresses import Addresses
from holdfast.server.callers import EVERYBODY, Caller, caller_of
from holdfast.server.channels.routes import PREFIX as SIGNED
from holdfast.server.identities.identifying import Identified, Identities
from holdfast.server.limiting import Limiter, Policy
from holdfast.server.metrics import Metrics
from holdfast.server.problems import UNAUTHORIZED, Refused
from holdfast.server.replies import problem_reply
from holdfast.turns.store import TurnStore

_TURNS: Final = re.compile(r"/v1/sessions/[^/]+/turns").fullmatch


class Policies:
    """Which limits count for whom.

    Args:
        tenant: the store's own, that of callers who name none.
    """

    def __init__(self, config: Config, tenant: str = "") -> None:
        self._limits = config.limits
        self._own = tenant
        self._of = lru_cache(maxsize=16_384)(self._of_whom)
        self.addresses = Addresses(config.limits.trusted_proxies, config.limits.forwarded_by)

    def of_request(self, scope: Scope) -> list[Policy]:
        """What a request to the API is counted for."""
        caller = caller_of(Request(scope))
        turn = scope["method"] == "POST" and _TURNS(scope["path"]) is not None
        found = [*self.of_caller(caller, "requests"), *(self.of_caller(caller, "turns") if turn else ())]
        if caller.user or caller is EVERYBODY:  # an application sends everybody's requests from one address
            found += self._of_address(scope, "requests")
        return found

    def of_caller(self, caller: Caller, what: str) -> Sequence[Policy]:
        """``requests`` or ``turns`` of a user and its tenant. What is left to a tenant is for its applications to know."""
        return self._of(caller.tenant or self._own, caller.user, what)

    def _of_whom(self, tenant: str, user: str, what: str) -> tuple[Policy, ...]:
        named = tenant if tenant in self._limits.tenants else ""
        of_tenant, of_user = self._limits.of_tenant(tenant), self._limits.of_users(tenant)
        found = [Policy(f"tenant-{what}", getattr(of_tenant, what), (tenant,), named, not user)]
        if user:
            found.append(Policy(f"user-{what}", getattr(of_user, what), (tenant, user), named))
        return tuple(one for one in found if one.rates)

    def of_message(self, channel: str, user: str) -> list[Policy]:
        """A message that came by a channel: a turn of its tenant, and of the user there."""
        named = self._own if self._own in self._limits.tenants else ""
        rates = self._limits.of_users(self._own).turns
        of_user = Policy("channel-turns", rates, (self._own, channel, user), named, False)
        return [*self.of_caller(Caller(tenant=self._own), "turns"), of_user]

    def failures(self, scope: Mapping[str, Any]) -> Policy | None:
        """Credentials that were not taken, of this address; None where it is not known."""
        return next(iter(self._of_address(scope, "failures")), None)

    def _of_address(self, scope: Mapping[str, Any], what: str) -> Sequence[Policy]:
        rates = getattr(self._limits.address, what)
        address = self.addresses.of(scope) if rates else ""  # type: ignore[arg-type]  # read only
        return [Policy(f"address-{what}", rates, (address,))] if address else []


def limits_apply(config: Config) -> bool:
    """Whether rates are kept to. Where nobody is asked who they are, nobody can be told from another: there only what is written
    down counts."""
    limits = config.limits
    return limits.written or config.knows_callers if limits.enabled == "auto" else limits.enabled


class RateLayer:
    """Plain ASGI, within the rim: it needs the caller. Health, metrics and the page's files are not counted; what channels bring
    is, by `Policies.of_message`, when its signature is known to be good."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter, policies: Policies) -> None:
        self._app = app
        self._limiter = limiter
        self._policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/") or scope["path"].startswith(SIGNED):
            await self._app(scope, receive, send)
            return
        try:
            room = await self._limiter.take(self._policies.of_request(scope))
        except Refused as error:
            await problem_reply(error, Request(scope))(scope, receive, send)
            return
        told = [(name.lower().encode(), value.encode("ascii")) for name, value in room.headers().items()]

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *told]
            await send(message)

        await self._app(scope, receive, send_on)


class RateLimits:
    """All of it for one node: None of the parts where rates are not kept to."""

    def __init__(self, config: Config, store: TurnStore, metrics: Metrics) -> None:
        self.limiter = Limiter(config.limits, shared_rates(store.backend), metrics) if limits_apply(config) else None
        self._policies = Policies(config, store.settings.tenant)
        self._config, self._store = config, store

    @property
    def layers(self) -> list[Middleware]:
        """What goes inside the rim."""
        if self.limiter is None:
            return []
        return [Middleware(RateLayer, limiter=self.limiter, policies=self._policies)]

    def identities(self) -> Identities:
        """Everybody whom the server knows."""
        if self.limiter is None:
            return Identities(self._config, self._store)
        return SlowedIdentities(self._config, self._store, self.limiter, self._policies)

    async def count_message(self, channel: str, user: str) -> None:
        """For a message whose signature is good. Raises `Refused`."""
        if self.limiter is not None:
            await self.limiter.take(self._policies.of_message(channel, user))


class SlowedIdentities(Identities):
    """`Identities` that can be guessed at only so often from one address: beyond that, good credentials are not looked at either,
    so that nobody learns which ones were."""

    def __init__(self, config: Config, store: TurnStore, limiter: Limiter, policies: Policies) -> None:
        super().__init__(config, store)
        self._limiter = limiter
        self._policies = policies

    async def identify(self, scope: Mapping[str, Any]) -> Identified:
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            return await super().identify(scope)
        policy = self._policies.failures(scope)
        if policy is not None:
            self._limiter.check(policy)
        try:
            return await super().identify(scope)
        except Refused as error:
            if policy is not None and error.kind is UNAUTHORIZED:
                await self._limiter.note(policy)
            raise
