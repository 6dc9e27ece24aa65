"""``[encryption]``: what is encrypted at rest, and with whose keys."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, model_validator

from holdfast.config.fields import Section
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.encryption import Encryption, Kms


class EncryptionSection(Section):
    """``[encryption]``; everything that a session holds is encrypted once there is a key.

    Attributes:
        keys: the key ring: 32 random bytes each, in base64, by name. Old ones stay until nothing is wrapped with them.
        key_files: the same from files, by name; a file holds the base64 text.
        kms: ``package.module:factory`` of a `holdfast.encryption.Kms`, instead of keys here.
        current: the name of the key that wraps from now on; may be left out where there is one.
        vault: the URL of the store that holds the users' own keys, wrapped with the ring. Kept apart from the sessions, and from
            their backups: destroying a user's key is what makes their backups unreadable. For a SQLite store ``FILE.keys`` beside
            it if empty; else the store itself, which `holdfast check` warns of.
        allow_plaintext: also reads what was stored before encryption was set up. Off, such a value is an error: else whoever can
            write to the store could put anything there.
    """

    keys: dict[str, SecretStr] = Field(default_factory=dict)
    key_files: dict[str, Path] = Field(default_factory=dict)
    kms: str = ""
    current: str = ""
    vault: str = Field(default="", repr=False)
    allow_plaintext: bool = False

    @property
    def enabled(self) -> bool:
        """Whether there is any key."""
        return bool(self.keys or self.key_files or self.kms)

    def opened(self) -> Encryption | None:
        """What `holdfast.open_store` takes; None where there is no key. Raises `ConfigError`, and `MissingExtra` without
        cryptography."""
        if not self.enabled:
            return None
        from holdfast.encryption import Encryption, KeyRing

        keys = {name: key.get_secret_value() for name, key in self.keys.items()}
        kms = _service(self.kms) if self.kms else KeyRing.read(keys, self.key_files, self.current)
        return Encryption(kms, self.vault, self.allow_plaintext)

    @model_validator(mode="after")
    def _one_ring(self) -> EncryptionSection:
        if self.kms and (self.keys or self.key_files):
            raise ValueError("give keys (or key_files), or kms, not both")
        names = [*self.keys, *self.key_files]
        if len(set(names)) < len(names):
            raise ValueError("two keys have one name")
        if self.current and not self.kms and self.current not in names:
            raise ValueError(f"current = {self.current!r} names no key; there are: {', '.join(names) or 'none'}")
        if len(names) > 1 and not self.current:
            raise ValueError("with several keys, current has to name the one that wraps from now on")
        if not self.enabled and (self.vault or self.allow_plaintext):
            raise ValueError("there is no key: set keys, key_files or kms")
        return self


def _service(path: str) -> Kms:
    """What the factory at ``package.module:factory`` makes."""
    module, colon, name = path.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name) if colon else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"encryption.kms = {path!r} cannot be imported: {error}") from error
    if not callable(factory):
        raise ConfigError(f"encryption.kms = {path!r} is not of the form package.module:factory")
    found: Kms = factory()
    return found
