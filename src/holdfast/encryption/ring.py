"""The keys that wrap the users' keys: the only secret that lies outside every store."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from holdfast.errors import ConfigError, KeyUnavailable, MissingExtra

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    raise MissingExtra("encryption needs cryptography: pip install 'holdfast[crypto]'") from error

KEY_BYTES: Final = 32
"""AES-256."""
NONCE_BYTES: Final = 12
"""Random nonces of 96 bits: NIST SP 800-38D allows 2^32 of them for one key. A user's key sees far fewer; `Vault` makes a new one
long before."""


class Wrapped(NamedTuple):
    """A user's key as it is stored: the name of the ring's key, and the bytes that it made."""

    ring_key: str
    wrapped: bytes


class Kms(Protocol):
    """What wraps and unwraps users' keys: the ring here, or a key management service.

    ``context`` is bound to the wrapped key, so that it cannot be passed off as another user's: pass it on as associated data
    ("encryption context").
    """

    @property
    def current(self) -> str:
        """The name of the key that wraps from now on."""
        ...

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        """32 bytes, wrapped with the current key. Raises `StoreUnavailable` where the service is out of reach."""
        ...

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The 32 bytes. Raises `KeyUnavailable` for a key that there is not (any more), or bytes that are not its own;
        `StoreUnavailable` where the service is out of reach."""
        ...


class KeyRing:
    """Keys in this process's memory, by name. The current one wraps; all of them unwrap.

    Args:
        keys: 32 random bytes each. current: may be left out where there is one key.

    Raises `ConfigError`.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str = "") -> None:
        if not keys:
            raise ConfigError("a key ring needs at least one key")
        for name, key in keys.items():
            if len(key) != KEY_BYTES:
                raise ConfigError(f"key {name!r} has {len(key)} bytes; it has to have {KEY_BYTES} random ones")
        if len(set(keys.values())) < len(keys):
            raise ConfigError("two names of the key ring have one key")
        if not current and len(keys) > 1:
            raise ConfigError("with several keys, say which is the current one")
        self.current = current or next(iter(keys))
        if self.current not in keys:
            raise ConfigError(f"the current key {self.current!r} is not in the key ring")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}

    @classmethod
    def read(cls, keys: Mapping[str, str], files: Mapping[str, Path], current: str = "") -> KeyRing:
        """A ring of base64 texts and of files that hold one each. Raises `ConfigError`, without the text."""
        texts = dict(keys)
        for name, path in files.items():
            try:
                texts[name] = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"the file of key {name!r} cannot be read: {error}") from None
        return cls({name: _decoded(name, text) for name, text in texts.items()}, current)

    @property
    def names(self) -> list[str]:
        """Of all keys."""
        return list(self._ciphers)

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        nonce = os.urandom(NONCE_BYTES)
        return Wrapped(self.current, nonce + self._ciphers[self.current].encrypt(nonce, key, context))

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        cipher = self._ciphers.get(wrapped.ring_key)
        if cipher is None:
            raise KeyUnavailable(f"the key ring has no key {wrapped.ring_key!r}, which wraps what is asked for; add it")
        nonce, sealed = wrapped.wrapped[:NONCE_BYTES], wrapped.wrapped[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError):
            raise KeyUnavailable(
                f"a user's key is not wrapped with the {wrapped.ring_key!r} that is in the key ring, or is damaged"
            ) from None


def new_key() -> str:
    """A key for the ring: 32 random bytes, in base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"key {name!r} is not base64; make one with: holdfast keys new") from None
