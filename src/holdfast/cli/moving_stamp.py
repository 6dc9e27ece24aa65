"""The commit ids of imports: they say which source value a version was made of.

4 random bytes, 5 of the value's digest, and 7 that bind both to the session and to the source's key. An import's own version is
recognised by them as long as nobody else has written; state and messages carry no mark.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from holdfast.backends.records import SessionKey

_RANDOM: Final = 4
_DIGEST: Final = 5
_SEAL: Final = 7


def stamped(key: SessionKey, source: bytes, digest: bytes) -> bytes:
    """A new commit id for what an import writes."""
    fresh = os.urandom(_RANDOM) + digest[:_DIGEST]
    return fresh + _sealed(key, source, fresh)


def stamp_of(key: SessionKey, source: bytes, commit_id: bytes) -> bytes | None:
    """The beginning of the digest of the value that this version was made of; None where no import of this ``source`` key
    made it."""
    fresh = commit_id[: _RANDOM + _DIGEST]
    return fresh[_RANDOM:] if commit_id[_RANDOM + _DIGEST :] == _sealed(key, source, fresh) else None


def stamp_digest(digest: bytes) -> bytes:
    """What a stamp keeps of a value's digest."""
    return digest[:_DIGEST]


def _sealed(key: SessionKey, source: bytes, fresh: bytes) -> bytes:
    parts = (key.tenant.encode(), key.id.encode(), source)
    bound = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return hashlib.blake2b(fresh + bound, digest_size=_SEAL, person=b"holdfast-import").digest()
