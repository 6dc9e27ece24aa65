"""Text as the file keeps it: UTF-8 bytes, whatever characters an id is made of."""

from __future__ import annotations

from holdfast.errors import CorruptRecord


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def text(raw: bytes) -> str:
    """Raises `CorruptRecord` where it is none."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise CorruptRecord("a name in the file is damaged: restore the file from a backup") from None
