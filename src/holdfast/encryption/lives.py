"""What a node knows of the lives of sessions: enough to bind a value to the right one before it is sent."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from holdfast.backends.records import SessionKey

_MOST: Final = 50_000
"""Sessions that are remembered, some 300 bytes each."""


class Life(NamedTuple):
    """One life of a session. ``owner``: whose key its values are written with. ``place``: of the session (`place_of`)."""

    incarnation: bytes
    owner: bytes
    place: bytes

    @property
    def seed(self) -> bytes:
        """What values are bound to: the part of the incarnation that its maker knew beforehand."""
        return self.incarnation[:8]


class Lives:
    """The lives seen last. They may be over: whoever relies on one has the store check it."""

    def __init__(self) -> None:
        self._lives: OrderedDict[SessionKey, Life] = OrderedDict()
        self._inputs: OrderedDict[tuple[SessionKey, str], bool] = OrderedDict()

    def get(self, key: SessionKey) -> Life | None:
        return self._lives.get(key)

    def saw(self, key: SessionKey, life: Life) -> Life:
        """Remembers a life that the store has just told of."""
        if self._lives.get(key) != life:
            self._lives[key] = life
            if len(self._lives) > _MOST:
                self._lives.popitem(last=False)
        return life

    def forget(self, key: SessionKey) -> None:
        self._lives.pop(key, None)

    def forget_owner(self, owner: bytes) -> None:
        """All of an owner's."""
        for key in [key for key, life in self._lives.items() if life.owner == owner]:
            del self._lives[key]

    def began(self, key: SessionKey, turn_id: str, with_input: bool) -> None:
        """Remembers whether a turn that runs here has an input, which is then the first of its log entries."""
        self._inputs[key, turn_id] = with_input
        if len(self._inputs) > _MOST:
            self._inputs.popitem(last=False)

    def has_input(self, key: SessionKey, turn_id: str) -> bool:
        return self._inputs.get((key, turn_id), True)

    def ended(self, key: SessionKey, turn_id: str) -> None:
        """The turn does not run here any more."""
        self._inputs.pop((key, turn_id), None)
