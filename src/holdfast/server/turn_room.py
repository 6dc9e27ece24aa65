"""Room for turns on a node, shared fairly among tenants, as the desk asks for it."""

from __future__ import annotations

from holdfast.config import LimitsSection
from holdfast.server.admission import FairAdmission, Overfull
from holdfast.server.metrics import Metrics
from holdfast.server.problems import OVERLOADED, Refused


class TurnRoom:
    """Slots for turns of one kind.

    Args:
        slots: how many at once. limits: how long to wait for one, and the tenants' weights.
    """

    def __init__(self, slots: int, limits: LimitsSection, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._wait = limits.admission_wait
        self._slots = FairAdmission(
            slots, line=limits.admission_line, weight=lambda tenant: limits.of_tenant(tenant).weight
        )

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return self._slots.waiting

    async def enter(self, tenant: str) -> None:
        """A slot, waited for if need be; given back by `leave`. Raises `Refused` (``overloaded``)."""
        try:
            waited = await self._slots.enter(tenant, self._wait)
        except Overfull as full:
            self._metrics.limited(f"admission-{full.why}", tenant if tenant in self._limits.tenants else "")
            if self._wait:
                self._metrics.admitted(self._wait if full.why == "wait" else 0.0, "refused")
            raise Refused(OVERLOADED) from None
        if waited:
            self._metrics.admitted(waited, "granted")

    def leave(self, tenant: str) -> None:
        """Gives a slot back."""
        self._slots.leave(tenant)
