"""The index of each user's sessions. It lies in the user's partition, apart from the sessions, so it is written before them:
a session is never missing from it; an entry without its session is possible, and is skipped by the reader.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Final

from holdfast.backends.records import NEVER, Birth, SessionKey
from holdfast.backends.redis.calls import Calls
from holdfast.backends.redis.keys import Keys, bytes_text, encoded
from holdfast.backends.redis.packing import Meta
from holdfast.errors import StoreError

_INDEX, _UNINDEX, _NOTE = "uwk"
_REMEMBERED: Final = 65_536
_SURE_S: Final = 60.0
"""For how long this process trusts an entry that it wrote; an entry lasts at least ten minutes past its session."""


class UserIndex:
    """Writes the entries. How long an entry lasts is decided in the Lua functions (`index_user`)."""

    def __init__(self, calls: Calls, keys: Keys) -> None:
        self._calls = calls
        self._keys = keys
        self._written: dict[SessionKey, tuple[str, int, float, int]] = {}

    async def listed(self, key: SessionKey, birth: Birth) -> int:
        """Makes sure that the user's index has this session, which may be about to begin; until when it surely has."""
        user, ttl, since, until = self._written.get(key, ("", 0, 0.0, 0))
        if user == birth.user and ttl == birth.ttl_ms and monotonic() - since < _SURE_S:
            return until
        until = await self._write(key, birth.user, birth.ttl_ms)
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[key] = (birth.user, birth.ttl_ms, monotonic(), until)
        return until

    async def _write(self, key: SessionKey, user: str, ttl_ms: int) -> int:
        index = self._keys.user(key.tenant, user)
        reply = await self._calls.write(_INDEX, index, encoded(key.id), ttl_ms)
        return int(reply)

    async def renew(self, key: SessionKey, incarnation: bytes) -> None:
        """Renews the entry of a session that is about to outlast it. A failure is left to the next call on the session."""
        name = self._keys.session(key)
        with suppress(StoreError):
            data = await self._calls.command(name, ("HGET", name, "m"))
            if data is None:
                return
            meta = Meta(data)
            life = meta.hold - meta.used if meta.hold > meta.expires else meta.expires - meta.used
            ttl = NEVER if meta.expires == NEVER else max(1, meta.ttl, life)
            until = await self._write(key, meta.user, ttl)
            await self._calls.write(_NOTE, name, incarnation, until)

    async def drop(self, key: SessionKey, user: bytes, until: bytes) -> None:
        """After a deletion. An entry that was renewed meanwhile, for the next life of this id, stays."""
        index = self._keys.user(key.tenant, bytes_text(user))
        self._written.pop(key, None)
        with suppress(StoreError):
            await self._calls.write(_UNINDEX, index, encoded(key.id), until)
