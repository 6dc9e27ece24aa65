"""Which Cluster slot each partition is in."""

from __future__ import annotations

from functools import cache
from typing import Final

from redis.crc import key_slot

from holdfast.backends.redis.keys import TAGS

SLOTS: Final = 16384
"""How many slots every Cluster has."""


def tag_of(key: str) -> str:
    """The two characters of a key's partition."""
    at = key.index("{") + 1
    return key[at : at + 2]


def canary_beside(key: str) -> str:
    """A key of the same slot that never exists: a server that is moving the slot answers ASK for it (see functions)."""
    return key[: key.index("}") + 1] + ":~"


@cache
def tags_by_slot() -> dict[int, tuple[str, ...]]:
    """The partitions of every slot that has any."""
    found: dict[int, tuple[str, ...]] = {}
    for tag in TAGS:
        slot = key_slot(tag[1:3].encode())
        found[slot] = (*found.get(slot, ()), tag[1:3])
    return found


@cache
def slots_by_tag() -> dict[str, int]:
    """The slot of every partition."""
    return {tag: slot for slot, tags in tags_by_slot().items() for tag in tags}
