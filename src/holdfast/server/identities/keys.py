"""Access keys: made, kept as digests, and looked up.

A plain SHA-256 is right for them, where a password would need a slow hash: a key is 256 random bits, so nobody finds it by
trying, and every request pays for the digest.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from holdfast.config.access import KeySection
from holdfast.errors import ConfigError
from holdfast.server.callers import Caller

PREFIX: Final = "hf_"
"""Of every key, so that one that was lost is found by those who look for such things in code."""

_LOOK_EVERY_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class Known(NamedTuple):
    """A key that opens the server: its digest, whoever has it, and when it stops (seconds since the epoch; 0 never)."""

    digest: bytes
    caller: Caller
    expires: float = 0.0


def new_key() -> str:
    """A key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return "sha256:" + digest_of(key.encode()).hex()


def digest_of(key: bytes) -> bytes:
    """The 32 bytes by which keys are compared: of equal length, whatever was sent."""
    return hashlib.sha256(key).digest()


def known_key(section: KeySection) -> Known:
    """A key of the config. Staff is somebody: called by the key's name where the key names no user."""
    user = section.user or ("" if section.role == "user" else section.name)
    caller = Caller(section.tenant, user, section.role, frozenset(section.scopes), section.name)
    expires = section.expires.timestamp() if section.expires is not None else 0.0
    return Known(bytes.fromhex(section.hash.removeprefix("sha256:")), caller, expires)


def plain_keys(keys: Sequence[str], role: Any) -> list[Known]:
    """Keys in clear, as `[server]` has them: applications, for all users. They are called by a piece of their digest."""
    made = []
    for key in keys:
        digest = digest_of(key.encode())
        name = f"{'operator' if role == 'operator' else 'access'}-key-{digest.hex()[:8]}"
        made.append(Known(digest, Caller(role=role, name=name)))
    return made


class AccessKeys:
    """All keys of a server; those of the file are read again when it changes, so that one can be added or revoked at once.

    Raises `ConfigError` where the file cannot be read at first; later it goes on with what it had, and says so in the log.
    """

    def __init__(self, known: Sequence[Known], file: Path | None = None) -> None:
        self._given = list(known)
        self._file = file
        self._stamp: tuple[int, ...] = ()
        self._looked = 0.0
        self._of_file: list[Known] = []
        if file is not None:
            self._stamp = _stamp(file)
            self._of_file = [known_key(key) for key in read_keys(file)]

    def find(self, key: bytes) -> Known | None:
        """The key, unless it has expired. It is compared with all of them, however early one fits."""
        self._look()
        digest, now, found = digest_of(key), time.time(), None
        for known in (*self._given, *self._of_file):
            if hmac.compare_digest(digest, known.digest) and (not known.expires or now < known.expires):
                found = known
        return found

    def still(self, digest: bytes) -> bool:
        """Whether the key with a digest that begins so is still good: somebody logged in with it."""
        self._look()
        now, good = time.time(), False
        for known in (*self._given, *self._of_file):
            good |= hmac.compare_digest(digest, known.digest[: len(digest)]) and (
                not known.expires or now < known.expires
            )
        return good

    def _look(self) -> None:
        now = time.monotonic()
        if self._file is None or now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        try:
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._of_file = [known_key(key) for key in read_keys(self._file)]
                self._stamp = stamp
        except ConfigError as error:
            _log.error("the access keys are those of before: %s", error)


def read_keys(file: Path) -> list[KeySection]:
    """The keys of a file. Raises `ConfigError`."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        extra = set(tree) - {"keys"}
        if extra:
            raise ConfigError(f"{file}: has {min(extra)!r} beside [[keys]]")
        keys = [KeySection.model_validate(one) for one in tree.get("keys", [])]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{file}: keys.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, RecursionError, TypeError) as error:
        # also an integer of thousands of digits, nested too deep, no list
        raise ConfigError(f"{file}: not TOML: {error}") from None
    if len({key.name for key in keys}) < len(keys):
        raise ConfigError(f"{file}: two keys have one name")
    return keys


def write_keys(file: Path, keys: Sequence[KeySection]) -> None:
    """Replaces the file in one step, readable by its owner only."""
    head = "# Access keys of holdfast: see `holdfast access`. A server reads this file again when it changes.\n"
    text = head + "".join(f"\n[[keys]]\n{lines_of(key)}" for key in keys)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error}") from None


def lines_of(key: KeySection) -> str:
    """A key as lines of TOML."""
    shown: dict[str, str] = {"name": _quoted(key.name), "hash": _quoted(key.hash), "role": _quoted(key.role)}
    if key.tenant:
        shown["tenant"] = _quoted(key.tenant)
    if key.user:
        shown["user"] = _quoted(key.user)
    if key.scopes:
        shown["scopes"] = "[" + ", ".join(map(_quoted, key.scopes)) + "]"
    if key.expires is not None:
        shown["expires"] = key.expires.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return "".join(f"{name} = {value}\n" for name, value in shown.items())


def expired(key: KeySection) -> bool:
    """Whether a key has stopped."""
    return key.expires is not None and key.expires <= datetime.now(UTC)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino
