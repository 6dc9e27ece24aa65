"""Rates of addresses, users, channels and tenants, kept to by all nodes of a store together where it can share them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from holdfast.backends.rates import Bucket, OwnRates, Rate, Rates, Taken
from holdfast.config import LimitsSection
from holdfast.errors import StoreError
from holdfast.server.faults import Seldom
from holdfast.server.metrics import Metrics
from holdfast.server.problems import LIMITS_DOWN, RATE_LIMITED, Refused

PATIENCE_S: Final = 0.25
"""So long the store may take to say whether there is room; a limit is no reason to wait longer."""

_PAUSE_S: Final = 1.0
"""So long a store that did not say is not asked again."""

_KNOWN_S: Final = 5.0
"""So long a refusal is repeated without asking: what others give back meanwhile is missed."""

_KNOWN: Final = 10_000
_log: Final = logging.getLogger(__name__)


class Policy(NamedTuple):
    """One limit of one subject.

    Attributes:
        name: like ``user-turns``; in headers, metrics and texts. rates: all have to be kept.
        who: whose they are, one or several names; they may hold anything.
        tenant: for the metrics. shown: whether the caller is told what is left.
    """

    name: str
    rates: tuple[Rate, ...]
    who: tuple[str, ...]
    tenant: str = ""
    shown: bool = True


class Room(NamedTuple):
    """What is left of the policies that are shown: a policy's name, its rate, and how far its bucket is filled."""

    shown: Sequence[tuple[str, Rate, float]]

    def headers(self) -> Mapping[str, str]:
        """``RateLimit-Policy`` and ``RateLimit``, as draft-ietf-httpapi-ratelimit-headers-10 has them."""
        if not self.shown:
            return {}
        policies = [f'"{name}";q={rate.amount};w={rate.period}' for name, rate, _ in self.shown]
        left = [f'"{name}";r={rate.left(load)};t={math.ceil(load)}' for name, rate, load in self.shown]
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}


class Limiter:
    """Asks whether there is room, for all nodes at once where ``shared`` can.

    While the store does not say, this node counts by itself, or refuses (`[limits] store_down`).

    Args:
        clock: seconds that only rise.
    """

    def __init__(
        self,
        settings: LimitsSection,
        shared: Rates | None,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._closed = settings.store_down == "closed"
        self._shared = shared
        self._own = OwnRates(clock)
        self._metrics = metrics
        self._clock = clock
        self._away_until = -math.inf
        self._full: dict[tuple[str, str], float] = {}
        self._seldom = Seldom(_log, 30.0)

    async def take(self, policies: Sequence[Policy]) -> Room:
        """Counts one request, or turn, for all of these or for none. Raises `Refused`: one has no room, or nobody knows."""
        asked = _by_subject(tuple(policies))
        if self._full:
            for one in asked:
                self._check_known(one)
        if (
            len(asked) == 1 or self._shared is None
        ):  # nothing to wait for together: a task for each costs more than they do
            answers = [await self._ask(one.subject, one.buckets) for one in asked]
        else:
            answers = await asyncio.gather(*[self._ask(one.subject, one.buckets) for one in asked])
        refused: list[tuple[float, Policy]] = []
        shown: list[tuple[str, Rate, float]] = []
        for (subject, named, buckets), taken in zip(asked, answers, strict=True):
            for policy, bucket, load in zip(named, buckets, taken.loads, strict=True):
                if not taken.granted and (wait := bucket.rate.wait(load, 1)) > 0:
                    refused.append((wait, policy))
                    self._note_full(subject, bucket.name, wait)
                if policy.shown:
                    shown.append((bucket.name, bucket.rate, load))
        room = Room(shown)
        if refused:
            await self._give_back(asked, answers)
            raise self._refusal(*max(refused, key=lambda one: one[0]), room)
        return room

    async def note(self, policy: Policy) -> None:
        """Counts something that has happened, also where there is no room for it. Never raises."""
        for subject, _, buckets in _by_subject((policy,)):
            taken = await self._ask(subject, buckets, strict=False)
            for bucket, load in zip(buckets, taken.loads, strict=True):
                if (wait := bucket.rate.wait(load, 1)) > 0:
                    self._note_full(subject, bucket.name, wait)

    def check(self, policy: Policy) -> None:
        """Raises `Refused` where this node knows that there is no room. Asks nobody and counts nothing."""
        for one in _by_subject((policy,)):
            self._check_known(one)

    # --- the store ---

    async def _ask(self, subject: str, buckets: Sequence[Bucket], *, strict: bool = True) -> Taken:
        if self._shared is None:
            return self._own.take(subject, buckets)
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self._shared.take_rates(subject, buckets)
            except (StoreError, TimeoutError) as error:
                self._away_until = self._clock() + _PAUSE_S
                self._seldom.fault("rates cannot be shared with other nodes now", error)
        self._metrics.unchecked()
        if self._closed and strict:
            raise Refused(LIMITS_DOWN)
        return self._own.take(subject, buckets)

    async def _give_back(self, asked: Sequence[_Subject], answers: Sequence[Taken]) -> None:
        """What was counted for some, where others had no room."""
        back = [
            self._ask(one.subject, [bucket._replace(cost=-bucket.cost) for bucket in one.buckets], strict=False)
            for one, taken in zip(asked, answers, strict=True)
            if taken.granted
        ]
        await asyncio.gather(*back)

    # --- refusals ---

    def _note_full(self, subject: str, name: str, wait: float) -> None:
        if len(self._full) >= _KNOWN:
            now = self._clock()
            self._full = {key: until for key, until in self._full.items() if until > now}
            if len(self._full) >= _KNOWN:
                self._full.clear()
        self._full[subject, name] = self._clock() + min(wait, _KNOWN_S)

    def _check_known(self, one: _Subject) -> None:
        now = self._clock()
        for policy, bucket in zip(one.policies, one.buckets, strict=True):
            until = self._full.get((one.subject, bucket.name), 0.0)
            if until > now:
                raise self._refusal(until - now, policy, Room(()))

    def _refusal(self, wait: float, policy: Policy, room: Room) -> Refused:
        self._metrics.limited(policy.name, policy.tenant)
        kind, _, what = policy.name.partition("-")
        told = f"This {kind} has no {what} left for now; there is room again in {math.ceil(wait)} s."
        return Refused(RATE_LIMITED, told, retry_after=wait, headers=room.headers())


class _Subject(NamedTuple):
    """What is asked of one subject: its buckets, and the policy of each."""

    subject: str
    policies: tuple[Policy, ...]
    buckets: tuple[Bucket, ...]


@lru_cache(maxsize=16_384)
def _by_subject(policies: tuple[Policy, ...]) -> tuple[_Subject, ...]:
    """So that each subject is asked once. Kept, because a caller asks the same again and again."""
    found: dict[str, list[tuple[Policy, Bucket]]] = {}
    for policy in policies:
        if policy.rates:
            buckets = found.setdefault(digest(policy.name.partition("-")[0], *policy.who), [])
            buckets += [(policy, Bucket(f"{policy.name}/{rate.period}", rate)) for rate in policy.rates]
    return tuple(_Subject(name, *zip(*buckets, strict=True)) for name, buckets in found.items())


def digest(*parts: str) -> str:
    """A subject's name in the store: whatever its parts hold, no two are confused, and nobody reads a user's name there."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        made.update(len(raw).to_bytes(4) + raw)
    return made.hexdigest()
