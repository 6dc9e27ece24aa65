"""A circuit breaker for one server: after a silence calls are refused at once instead of piling up behind it.

Only silence opens it (a call or a connection that ran into its deadline): a server that refuses connections answers at once by
itself. While it is open one connection attempt at a time goes on as the probe, started by whoever calls; calls wait a moment for
it, then they are refused. The first answer closes it.
"""

from __future__ import annotations

from typing import Final, Literal

GRACE_S: Final = 0.5
"""How long a call waits for the probe before it is refused."""
PROBE_S: Final = 1.0
"""How long a probe may take: a packet that was dropped is sent again by then."""
RETRY_AFTER_S: Final = 1.0
"""What refused callers are told to wait."""

State = Literal["closed", "half_open", "open"]


class Breaker:
    """Shared by all connections to one server.

    Attributes:
        opened: how often it opened.
        refused: how many calls it refused.
    """

    def __init__(self) -> None:
        self._silent = False
        self._probes = 0
        self.opened = 0
        self.refused = 0

    @property
    def state(self) -> State:
        if not self._silent:
            return "closed"
        return "half_open" if self._probes else "open"

    @property
    def is_open(self) -> bool:
        """Is the server silent, as far as is known?"""
        return self._silent

    def silence(self) -> None:
        """The server let a deadline pass."""
        if not self._silent:
            self._silent = True
            self.opened += 1

    def answer(self) -> None:
        """The server answered."""
        self._silent = False

    def probing(self, more: int) -> None:
        """One connection attempt began (1) or ended (-1)."""
        self._probes += more
