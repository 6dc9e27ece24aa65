"""Where things rest: key names, one hash-tag partition for all keys of a session.

`<prefix>:{p}:<kind>:<tenant>:<id>` with p = 0..1023 written as two characters. Kinds: s session, l log, z pages of the log,
o outcomes, j journal of a turn, e events of a turn, n refused updates; for each partition i sessions of a tenant, p pending
turns, f fences, u sessions of a user; c is the channel of hints; t holds the rates of a
subject (`backends.rates`), in a partition of its own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes
from zlib import crc32

from holdfast.backends.records import SessionKey
from holdfast.errors import ConfigError

PARTITIONS: Final = 1024
"""How many partitions there are. It is part of the stored layout: changing it loses every session."""

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
TAGS: Final = tuple("{" + _DIGITS[p >> 5] + _DIGITS[p & 31] + "}" for p in range(PARTITIONS))
"""The hash tag of every partition."""
_safe = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII).fullmatch
_prefix = re.compile(r"[A-Za-z0-9_.~-]{1,32}", re.ASCII).fullmatch


def text_bytes(text: str) -> bytes:
    """UTF-8 that also takes lone surrogates: an id is opaque text."""
    return text.encode("utf-8", "surrogatepass")


def bytes_text(data: bytes) -> str:
    """The inverse of `text_bytes`."""
    return data.decode("utf-8", "surrogatepass")


def encoded(text: str) -> str:
    """An id as part of a key: nothing in it can end the part, open a hash tag or match as a pattern."""
    return text if _safe(text) else quote(text_bytes(text), safe="")


def decoded(part: str) -> str:
    """The inverse of `encoded`. What is none of its results stays as it is: a name that no session has."""
    try:
        return bytes_text(unquote_to_bytes(part)) if "%" in part else part
    except UnicodeDecodeError:
        return part


def member_text(member: bytes) -> str:
    """A member of an index as text; one that somebody else put there names no session."""
    return member.decode("ascii", "backslashreplace")


def partition_of(tenant: str, id_: str) -> int:
    """0..1023, the same in every process and release."""
    return crc32(text_bytes(f"{tenant}\0{id_}")) & (PARTITIONS - 1)


def subject_of(key: SessionKey) -> str:
    """A session's name in messages."""
    return f"session {key.id!r}" + (f" of tenant {key.tenant!r}" if key.tenant else "")


def named(key: str) -> str:
    """The session that a key belongs to, in messages; "" for keys of many sessions."""
    parts = key.split(":")
    if len(parts) < 5 or parts[2] in ("i", "u", "p", "f"):
        return ""
    return subject_of(SessionKey(decoded(parts[3]), decoded(parts[4])))


class Keys:
    """The key names under one prefix."""

    def __init__(self, prefix: str) -> None:
        if not _prefix(prefix):
            raise ConfigError(
                f"prefix {prefix[:40]!r} cannot be used: 1 to 32 letters, digits or any of _ . ~ - are allowed"
            )
        self.prefix = prefix
        self.session = lru_cache(maxsize=16_384)(self._session)

    def _session(self, key: SessionKey) -> str:
        tenant, id_ = key
        return f"{self.prefix}:{TAGS[partition_of(tenant, id_)]}:s:{encoded(tenant)}:{encoded(id_)}"

    def sibling(self, key: SessionKey, kind: str) -> str:
        """The session's key of another kind."""
        return self.session(key).replace("}:s:", "}:" + kind + ":", 1)

    def user(self, tenant: str, user: str) -> str:
        """The index of a user's sessions, in the partition of tenant and user."""
        return f"{self.prefix}:{TAGS[partition_of(tenant, user)]}:u:{encoded(tenant)}:{encoded(user)}"

    def sessions(self, partition: int, tenant: str) -> str:
        """The index of a tenant's sessions in one partition."""
        return f"{self.prefix}:{TAGS[partition]}:i:{encoded(tenant)}"

    def pending(self, partition: int) -> str:
        """The index of a partition's pending turns."""
        return f"{self.prefix}:{TAGS[partition]}:p"

    def rates(self, subject: str) -> str:
        """What keeps the rates of a subject, whose name is a digest."""
        return f"{self.prefix}:{TAGS[partition_of('', subject)]}:t:{encoded(subject)}"

    def probe(self, partition: int = 0) -> str:
        """A key for trying out rights."""
        return f"{self.prefix}:{TAGS[partition]}:x"
