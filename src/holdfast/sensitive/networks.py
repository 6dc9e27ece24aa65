"""IP addresses and licence plates."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.sensitive.kind import Found


def find_ips(text: str) -> Iterator[Found]:
    """Of `plain` text."""
    return iter(())


def find_plates(text: str) -> Iterator[Found]:
    """Of `plain` text."""
    return iter(())
