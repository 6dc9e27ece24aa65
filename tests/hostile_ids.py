"""Ids that try to be something else: another id, a key, a pattern, a path, a piece of a program."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

_PIECES: Final = (
    *(
        "\x00",
        "\x01",
        "\x1f",
        "\x7f",
        "\x85",
        "\n",
        "\r\n",
        "\t",
        " ",
        "\x0b",
        "\u2028",
        "\ufeff",
        "\u200b",
        "\u202e",
        "\u2066",
    ),
    *(
        "{",
        "}",
        "{}",
        "{0}",
        "{p}",
        "{000}",
        "*",
        "?",
        "[a-z]",
        "[^",
        "\\",
        "\\*",
        ":",
        "::",
        "|",
        ";",
        ",",
        "/",
        "//",
        "%",
    ),
    *(
        "..",
        "../",
        "..\\",
        "/etc/passwd",
        "%00",
        "%2e%2e%2f",
        "%",
        "%s%n%x",
        "$(id)",
        "`id`",
        "${jndi:ldap://x}",
        "{{7*7}}",
    ),
    *("'", '"', "'; DROP TABLE session; --", "' OR 1=1 --", "x'00'", "]]", "redis.call('FLUSHALL')", "\\0", "return 1"),
    *(
        "hf:",
        "hf:{00}:s::",
        "hf:{00}:l::a",
        ":s:",
        ":u:",
        ":i:",
        "holdfast",
        "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "$-1\r\n",
        "+OK",
    ),
    *("\x1ffailed", "\x1ftraces", "\x1fhandovers", "\x1fdeliveries", "\x1faudit", "\x1fusage", "_pending", "__proto__"),
    *("é", "e\u0301", "ﬁ", "fi", "ß", "SS", "ı", "I", "K", "K", "Å", "Å", "Ω", "Ω", "a", "а", "ａ", "ⅷ", "viii"),
    *(
        "😀",
        "👨\u200d👩\u200d👧",
        "\U0010ffff",
        "\ud7ff",
        "\ue000",
        "\ufffd",
        "\ufdd0",
        "\uffff",
        "𝕏",
        "订单",
        "עברית",
        "ا\u064b",
    ),
    *(
        "null",
        "None",
        "true",
        "-1",
        "0",
        "00",
        "1e9",
        "NaN",
        "undefined",
        "a" * 64,
        "me",
        ".",
        "-",
        "--help",
        "CON",
        "~",
    ),
)


def hostile_ids(count: int, chance: random.Random) -> list[str]:
    """So many different ones, each of 1 to 256 characters, in families that look alike."""
    found: dict[str, None] = {}
    for id_ in _endless(chance):
        if 0 < len(id_) <= 256:
            found[id_] = None
        if len(found) == count:
            return list(found)
    raise AssertionError("there is no end of them")


def _endless(chance: random.Random) -> Iterator[str]:
    yield from _PIECES
    yield from ("a" * length for length in (1, 2, 255, 256))
    yield from ("\U0001f600" * length for length in (1, 255, 256))
    yield from (chr(code) for code in range(0x300))
    yield from (f"session-{number}" for number in range(50))
    while True:
        id_ = "".join(chance.choice(_PIECES) for _ in range(chance.choice((1, 2, 2, 3, 5, 20))))
        if chance.random() < 0.2:
            id_ += "".join(
                map(
                    chr,
                    (chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))) for _ in range(3)),
                )
            )
        yield from _family(id_)


def _family(id_: str) -> Iterator[str]:
    """The id, and those that some comparison or encoding takes for the same."""
    yield id_
    yield id_ + " "
    yield " " + id_
    yield id_ + "\x00"
    yield id_[:-1]
    yield id_ * 2
    yield id_.upper()
    yield id_.casefold()
    yield quote(id_, safe="")
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield unicodedata.normalize(form, id_)
