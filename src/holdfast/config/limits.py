"""``[limits]``: how much each tenant, user and address may ask for, and keep."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, model_validator

from holdfast.backends.rates import Rate
from holdfast.config.fields import Seconds, SecondsOrOff, Section

_LONGEST_S: Final = 366 * 24 * 3600
_NOTATION: Final = 'write "60/minute", "1000 per hour", "5 per 10 seconds", or several in a list'


def _rates(value: Any) -> Any:
    """As `limits` reads them, shortest period first; one for each period."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise ValueError(f"is no rate: {_NOTATION}")
    if all(isinstance(one, Rate) for one in texts):
        return texts
    from limits import parse_many  # takes a fifth of a second to import

    found: dict[int, Rate] = {}
    for text in texts:
        try:
            items = parse_many(text) if isinstance(text, str) else []
        except ValueError:
            items = []
        if not items:
            raise ValueError(f"{text!r} is no rate: {_NOTATION}")
        for item in items:
            rate = Rate(item.amount, item.get_expiry())
            if rate.amount < 1 or not 1 <= rate.period <= _LONGEST_S:
                raise ValueError(f"{text!r} cannot be kept to: at least 1, in a second to a year")
            if rate.period in found:
                raise ValueError(f"{text!r}: there is another rate for the same time")
            found[rate.period] = rate
    return tuple(found[period] for period in sorted(found))


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no network: {error}") from None


RateList = Annotated[tuple[Rate, ...], BeforeValidator(_rates)]
"""Rates that all have to be kept; none is no limit."""

Network = Annotated[str, AfterValidator(_network)]
"""Like ``10.0.0.0/8``, ``2001:db8::/32``, or one address."""

Count = Annotated[int, Field(ge=1)]


class AddressLimits(Section):
    """``[limits.address]``: of one client address (of IPv6, one /64).

    Attributes:
        requests: of users and visitors; a trusted application may send everybody's from one address.
        failures: credentials that are not taken. An address beyond it is answered by nothing but 429 for a while.
    """

    requests: RateList = (Rate(1200, 60),)
    failures: RateList = (Rate(30, 60), Rate(300, 3600))


class UserLimits(Section):
    """``[limits.user]``: of one user of a tenant. None, and no rate, is no limit.

    Attributes:
        requests, turns: rates; a turn is a request, too.
        sessions: that live at one time. bytes: kept in them. tokens: of the model in one ``tokens_per``.
    """

    requests: RateList = (Rate(600, 60),)
    turns: RateList = (Rate(60, 60), Rate(1000, 3600))
    sessions: Count | None = None
    bytes: ByteSize | None = None
    tokens: Count | None = None


class TenantLimits(Section):
    """``[limits.tenant]``: of one tenant, all its users together; the attributes as of a user.

    Attributes:
        weight: its share of a node that is full: twice the weight, twice the turns.
    """

    requests: RateList = ()
    turns: RateList = ()
    sessions: Count | None = None
    bytes: ByteSize | None = None
    tokens: Count | None = None
    weight: float = Field(default=1.0, ge=0.01, le=1000)


class OneTenant(TenantLimits):
    """``[limits.tenants.NAME]``: what is different for this tenant; ``user`` for each of its users."""

    user: UserLimits = UserLimits()


class LimitsSection(Section):
    """``[limits]``.

    Attributes:
        enabled: ``auto`` leaves the rates out where a server on loopback asks nobody who they are and nothing is written here.
        tenants: differences, by the tenant's name; what is left out is as in ``[limits.tenant]`` and ``[limits.user]``.
        trusted_proxies: networks of the proxies before the server: from them, and only from them, ``forwarded_by`` is believed.
        forwarded_by: the header in which they say whom they ask for.
        store_down: while the rates cannot be asked for, requests are let through (``open``) or refused (``closed``).
        admission_wait: seconds that a turn waits for room on a full node before it is told to come back; 0 is not at all.
        admission_line: so many turns of one tenant wait at most.
        session_line: so many turns of one session are on this node at most, running and waiting.
        tokens_per: the time that ``tokens`` are for; a new one begins every so often, for everybody at once.
        recount: seconds after which a tenant's sessions and bytes are counted anew, where it has such a limit.
    """

    enabled: bool | Literal["auto"] = "auto"
    address: AddressLimits = AddressLimits()
    user: UserLimits = UserLimits()
    tenant: TenantLimits = TenantLimits()
    tenants: dict[str, OneTenant] = Field(default_factory=dict)
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_by: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    store_down: Literal["open", "closed"] = "open"
    admission_wait: SecondsOrOff = 3.0
    admission_line: int = Field(default=256, ge=1)
    session_line: int = Field(default=16, ge=1)
    tokens_per: Seconds = 86_400.0
    recount: Seconds = 900.0

    @model_validator(mode="after")
    def _names(self) -> LimitsSection:
        for name in self.tenants:
            if len(name) > 256:
                raise ValueError(f"tenants.{name[:20]}...: a tenant's name has at most 256 characters")
        return self

    @property
    def written(self) -> bool:
        """Whether the file says something of anybody's limits."""
        return bool({"address", "user", "tenant", "tenants"} & self.model_fields_set)

    def of_tenant(self, name: str) -> TenantLimits:
        """What holds for this tenant."""
        own = self.tenants.get(name)
        return self.tenant if own is None else _over(self.tenant, own)

    def of_users(self, tenant: str) -> UserLimits:
        """What holds for each user of this tenant."""
        own = self.tenants.get(tenant)
        return self.user if own is None else _over(self.user, own.user)

    def everybody(self) -> Iterable[tuple[str, TenantLimits, UserLimits]]:
        """Each set of limits, with the place where it is written."""
        yield "", self.tenant, self.user
        for name in self.tenants:
            yield f"tenants.{name}.", self.of_tenant(name), self.of_users(name)


S = TypeVar("S", TenantLimits, UserLimits)


def _over(base: S, own: S) -> S:
    """The base with what was written for one tenant laid over it."""
    changes = {name: getattr(own, name) for name in own.model_fields_set if name in type(base).model_fields}
    return base.model_copy(update=changes)
