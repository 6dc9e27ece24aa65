"""Signatures of the generic webhook, the same in both directions: ``Holdfast-Signature: t=1767225600,v1=5257a8...``.

``t`` is when it was signed, in seconds since the epoch; each ``v1`` is the HMAC-SHA256 of ``t``, a full stop and the body, in hex,
under one secret. While secrets are changed there are several, and any that fits will do.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from holdfast.server.channels.contract import BadSignature

HEADER: Final = "Holdfast-Signature"
_LONGEST: Final = 1024
_MOST: Final = 8


def signature(body: bytes, secrets: Sequence[str], now: float) -> str:
    """The header's value, signed under each of the secrets."""
    at = str(int(now))
    return ",".join([f"t={at}", *(f"v1={_digest(secret, at, body)}" for secret in secrets)])


def check(header: str, body: bytes, secrets: Sequence[str], *, now: float, tolerance: float) -> None:
    """Raises `BadSignature` where none of the signatures is of one of these secrets, or the time differs by more than
    ``tolerance`` seconds."""
    pairs = [part.strip().partition("=") for part in header[:_LONGEST].split(",")]
    at = next((value for name, _, value in pairs if name == "t"), "")
    given = [value for name, _, value in pairs if name == "v1"][:_MOST]
    if not at.isascii() or not at.isdecimal() or len(at) > 12:
        raise BadSignature("no time")
    made = [_digest(secret, at, body) for secret in secrets]
    fits = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in made]  # all of them
    if not any(fits):
        raise BadSignature("no signature fits")
    if abs(now - int(at)) > tolerance:
        raise BadSignature("signed at another time")


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
