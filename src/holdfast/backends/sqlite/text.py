"""Text as the file keeps it: UTF-8 bytes, whatever characters an id is made of."""

from __future__ import annotations


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
