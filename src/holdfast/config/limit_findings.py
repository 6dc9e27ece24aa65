"""Limits that contradict each other, or can never be reached: no mistake by itself, and hardly what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from holdfast.backends.rates import Rate
from holdfast.config.limits import TenantLimits, UserLimits
from holdfast.config.tree import Config

Finding = tuple[tuple[str, ...], str]
"""The place in the file, and what is strange there."""


def limit_findings(config: Config) -> Iterator[Finding]:
    """All of them."""
    limits = config.limits
    if limits.enabled is False and limits.written:
        yield ("limits", "enabled"), "limits.enabled = false leaves out all rates that are written here"
    if limits.admission_wait >= config.server.turn_timeout:
        yield (
            ("limits", "admission_wait"),
            "limits.admission_wait is not shorter than server.turn_timeout: callers give up before they are told to come back",
        )
    if limits.written and not config.store.url.split("://")[0].partition("+")[0].startswith(
        ("redis", "valkey", "unix")
    ):
        yield ("limits",), "limits: each node counts rates by itself, because the store is no Redis"
    for name, rates in (("requests", limits.address.requests), ("failures", limits.address.failures)):
        yield from _idle(f"address.{name}", rates)
    for where, tenant, user in limits.everybody():
        yield from _of_one(where, tenant, user, model=config.model.configured)


def _of_one(where: str, tenant: TenantLimits, user: UserLimits, *, model: bool) -> Iterator[Finding]:
    of_tenant, of_user = (where.rstrip(".") or "tenant"), (f"{where}user" if where else "user")
    for name, limits in ((of_tenant, tenant), (of_user, user)):
        for what in ("requests", "turns"):
            yield from _idle(f"{name}.{what}", getattr(limits, what))
        if limits.turns and limits.requests and _slowest(limits.turns) > _slowest(limits.requests):
            yield _at(f"{name}.turns", f"a turn is a request too, and limits.{name}.requests allows fewer of them")
        if limits.tokens is not None and not model:
            yield _at(f"{name}.tokens", "no model is configured that could spend tokens")
    for what in ("sessions", "bytes", "tokens"):
        mine, all_ = getattr(user, what), getattr(tenant, what)
        if mine is not None and all_ is not None and mine > all_:
            yield _at(f"{of_user}.{what}", f"one user may have more than its whole tenant: limits.{of_tenant}.{what}")
    for what in ("requests", "turns"):
        mine, all_ = getattr(user, what), getattr(tenant, what)
        if mine and all_ and _slowest(mine) > _slowest(all_):
            yield _at(
                f"{of_user}.{what}", f"one user may ask for more than its whole tenant: limits.{of_tenant}.{what}"
            )


def _idle(name: str, rates: Sequence[Rate]) -> Iterator[Finding]:
    """Rates that another one of them makes idle."""
    for short, long in combinations(rates, 2):
        if long.amount >= short.amount + short.amount * long.period / short.period:
            yield _at(name, f"{_text(long)} is never reached beside {_text(short)}")
        elif long.amount <= short.amount:
            yield _at(name, f"{_text(short)} is never reached beside {_text(long)}")


def _slowest(rates: Sequence[Rate]) -> float:
    return min(rate.amount / rate.period for rate in rates)


def _text(rate: Rate) -> str:
    return f"{rate.amount} per {rate.period} s"


def _at(name: str, message: str) -> Finding:
    return ("limits", *name.split(".")), f"limits.{name}: {message}"
