"""What a node knows of the lives of sessions: enough to bind a value to the right one before it is sent."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from holdfast.backends.records import SessionKey

_MOST: Final = 50_000
"""Sessions that are remembered, some 300 bytes each."""


class Life(NamedTuple):
    """One life of a session. ``owner``: whose key its values are written with. ``place``: of the session (`place_of`). ``user``:
    whose it is, as far as this node was told."""

    incarnation: bytes
    owner: bytes
    place: bytes
    user: str = ""

    @property
    def seed(self) -> bytes:
        """What values are bound to: the part of the incarnation that its maker knew beforehand."""
        return self.incarnation[:8]


class Lives:
    """The lives seen last. They may be over: whoever relies on one has the store check it."""

    def __init__(self) -> None:
        self._lives: OrderedDict[SessionKey, Life] = OrderedDict()
        self._turns: OrderedDict[tuple[SessionKey, str], tuple[Life, bool]] = OrderedDict()

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

    def began(self, key: SessionKey, turn_id: str, life: Life, with_input: bool) -> None:
        """Remembers in which life a turn runs here, which no load may show yet, and whether it has an input, which is then the
        first of its log entries."""
        self._turns[key, turn_id] = (life, with_input)
        if len(self._turns) > _MOST:
            self._turns.popitem(last=False)

    def of_turn(self, key: SessionKey, turn_id: str) -> Life | None:
        """The life of a turn that runs here, whatever was seen of its session since."""
        known = self._turns.get((key, turn_id))
        return None if known is None else known[0]

    def has_input(self, key: SessionKey, turn_id: str) -> bool:
        known = self._turns.get((key, turn_id))
        return known is None or known[1]

    def ended(self, key: SessionKey, turn_id: str) -> None:
        """The turn does not run here any more."""
        self._turns.pop((key, turn_id), None)
