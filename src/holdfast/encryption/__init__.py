"""What rests in a store, unreadable without its keys.

encryption = Encryption(KeyRing({"2026": key}))
async with open_store("sqlite:///holdfast.db", encryption=encryption) as store:
    ...
"""

from __future__ import annotations

import msgspec

from holdfast.encryption.ring import KeyRing, Kms, Wrapped, new_key

__all__ = ["Encryption", "KeyRing", "Kms", "Wrapped", "new_key"]


class Encryption(msgspec.Struct, frozen=True):
    """How a store is encrypted: an argument of `holdfast.open_store`.

    Attributes:
        kms: wraps users' keys: a `KeyRing`, or a service behind `Kms`.
        vault: the URL of the store with users' keys. Empty: ``FILE.keys`` beside a SQLite file, else the store itself; only a vault
            that has backups of its own (short ones, or none) makes an erased user's data unreadable in backups of the store.
        allow_plaintext: reads also what was stored before encryption was set up.
        key_age: after so many seconds without a look at what was erased, a node uses no key that it keeps.
    """

    kms: Kms
    vault: str = ""
    allow_plaintext: bool = False
    key_age: float = 1.0
