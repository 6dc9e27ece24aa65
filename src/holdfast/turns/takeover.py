"""A turn of which only the id is known: waited for, or gone on with where its node died."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from holdfast.backends.records import Granted, SessionKey
from holdfast.errors import SessionGone, TurnNotFound, TurnParked
from holdfast.turns.accepting import Policy
from holdfast.turns.events import Emit
from holdfast.turns.outcome import Outcome
from holdfast.turns.run import TurnRun
from holdfast.turns.turn import Handler

if TYPE_CHECKING:  # the store makes takeovers, a takeover works on its store
    from holdfast.turns.store import TurnStore


class JoinOptions(TypedDict, total=False):
    """Keyword arguments of `Takeover` for whoever waits for a turn's end."""

    on_event: Emit | None
    stream: bool
    cancels: bool


class Takeover:
    """Never accepts anew: input, journal and count of attempts are those of the accepted turn."""

    def __init__(
        self,
        store: TurnStore,
        key: SessionKey,
        turn_id: str,
        handler: str | Handler,
        *,
        policy: Policy,
        wait_ms: int,
        on_event: Emit | None = None,
        stream: bool = False,
        cancels: bool = False,
    ) -> None:
        name, self._handler = store.handlers.find(handler)
        self._granted: Granted | None = None
        self._run = TurnRun(
            store,
            key,
            turn_id,
            None,
            handler=name,
            birth=store.birth(),
            policy=policy,
            wait_ms=wait_ms,
            tail=store.settings.tail,
            strict=False,
            withdraws=False,
            emit=on_event,
            stream=stream,
        )
        self._run.request.fingerprint = b""
        self._run.accepting.joins = policy != "reject"
        self._run.accepting.cancels = cancels

    async def claim(self) -> bool:
        """Whether this node has the turn now; False where it is finished, held elsewhere, or gone. Does not wait."""
        self._granted = await self._run.claim()
        return self._granted is not None

    async def give_back(self) -> None:
        """Lets go of what was claimed and not started."""
        if self._granted is not None:
            self._granted = None
            await self._run.release()

    async def attempt(self) -> Outcome | None:
        """Runs what was claimed; None where another holder was faster. Raises as `TurnStore.run_turn`."""
        granted, self._granted = self._granted, None
        assert granted is not None
        return await self._run.attempt(granted, self._handler)

    async def finish(self) -> Outcome:
        """The turn's outcome, whoever runs it. Raises `TurnNotFound`, and as `TurnStore.run_turn`."""
        if self._granted is not None:
            granted, self._granted = self._granted, None
            outcome = await self._attempt(granted)
        else:
            try:
                begun = await self._run.begin()
            except SessionGone as error:
                raise TurnNotFound(str(error)) from None
            if isinstance(begun, Outcome):
                return begun
            outcome = await self._attempt(begun)
        while outcome is None:
            begun = await self._run.begin()
            outcome = begun if isinstance(begun, Outcome) else await self._attempt(begun)
        return outcome

    async def _attempt(self, granted: Granted) -> Outcome | None:
        """None also where the turn was parked (again), and this waits for parked ones."""
        try:
            return await self._run.attempt(granted, self._handler)
        except TurnParked as parked:
            if not self._run.accepting.joins:
                raise
            self._run.accepting.waiting_for = parked.waiting_for
            return None
