"""The header before every stored value, so that compression, encryption and format can change while nodes run.

Byte 0: format version (high half), compression (low half). Byte 1: key id, 0 for unencrypted.
"""

from __future__ import annotations

import sys
from typing import Final

from holdfast.errors import CorruptRecord, FutureFormat

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT: Final = 1
PLAIN: Final = 0
ZSTD: Final = 1
_HEADER: Final = bytes([FORMAT << 4 | PLAIN, 0])
HEADER_BYTES: Final = 2
PLAIN_HEADER: Final = _HEADER
"""What a value that is neither compressed nor encrypted begins with."""
_PACKED_HEADER: Final = bytes([FORMAT << 4 | ZSTD, 0])


def wrap(payload: bytes, *, compress_from: int) -> bytes:
    """The payload with its header, compressed where it has ``compress_from`` bytes or more and that makes it smaller."""
    if len(payload) >= compress_from:
        # level 3: on real dialogues .36-.87 of the size (DESIGN), at some 10 us a KB
        packed = zstd.compress(payload, 3)
        if len(packed) < len(payload):
            return _PACKED_HEADER + packed
    return _HEADER + payload


def is_plain(frame: bytes) -> bool:
    return frame[:2] == _HEADER


def is_encrypted(frame: bytes) -> bool:
    """Whether a value says that it is encrypted (`holdfast.encryption`): unreadable here."""
    return frame[:2] == bytes([FORMAT << 4, 1])


def unwrap(frame: bytes, *, max_bytes: int) -> bytes:
    """The payload. Raises `CorruptRecord`, also for more than ``max_bytes`` after decompression, and `FutureFormat`."""
    if frame[:2] == _HEADER:
        return frame[2:]
    if len(frame) < 2:
        raise CorruptRecord(f"a stored value has {len(frame)} bytes, less than its header")
    version, compression = frame[0] >> 4, frame[0] & 0x0F
    if version > FORMAT or (version == FORMAT and compression > ZSTD):
        raise FutureFormat(
            f"a stored value has format {version}.{compression}; this release reads up to {FORMAT}.{ZSTD}: upgrade this node"
        )
    if version != FORMAT:
        raise CorruptRecord("a stored value does not start with a known header")
    if frame[1] != 0:
        raise CorruptRecord(f"a stored value is encrypted with key {frame[1]}, and no key ring is set up")
    return _decompressed(frame[2:], max_bytes)


def _decompressed(packed: bytes, max_bytes: int) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    try:
        payload = decompressor.decompress(packed, max_length=max_bytes + 1)
    except zstd.ZstdError:
        raise CorruptRecord("a stored value is damaged: it does not decompress") from None
    if len(payload) > max_bytes:
        raise CorruptRecord(f"a stored value grows past {max_bytes} bytes when decompressed; refused")
    if not decompressor.eof:
        raise CorruptRecord("a stored value is truncated: its compressed data ends early")
    return payload
