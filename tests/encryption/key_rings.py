"""Key rings and vaults that tests use."""

from __future__ import annotations

import os

from holdfast.backends.contract import Backend
from holdfast.backends.memory import MemoryBackend
from holdfast.encryption.backend import EncryptedBackend
from holdfast.encryption.ring import KeyRing
from holdfast.encryption.vault import Vault


def ring(*names: str, current: str = "") -> KeyRing:
    """A ring of fresh random keys."""
    return KeyRing({name: os.urandom(32) for name in names or ("k1",)}, current or (names[-1] if names else "k1"))


def encrypted(inner: Backend, vault: Vault | None = None, **options: bool) -> EncryptedBackend:
    """``inner``, encrypted with a new ring and a vault in memory unless one is given."""
    return EncryptedBackend(inner, vault or Vault(MemoryBackend(), ring()), **options)
