"""Light English stemming: inflections only (plural, -ed, -ing, -ly, possessive), so that a code or a name is left alone.

The rules follow the first steps of M. F. Porter, "An algorithm for suffix stripping" (Program 14(3), 1980), and
D. Harman's S-stemmer ("How effective is suffixing?", JASIS 42(1), 1991) for plurals.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_VOWEL: Final = re.compile("[aeiouy]")
_PLAIN: Final = re.compile(r"[a-z]{4,}\Z")

_IRREGULAR: Final = {
    "children": "child", "men": "man", "women": "woman", "people": "person", "feet": "foot", "teeth": "tooth", "mice": "mouse",
    "won": "win", "began": "begin", "begun": "begin", "bought": "buy", "sold": "sell", "paid": "pay", "sent": "send",
    "built": "build", "made": "make", "held": "hold", "led": "lead", "left": "leave", "lost": "lose", "took": "take",
    "taken": "take", "gave": "give", "wrote": "write", "written": "write", "spoke": "speak", "spoken": "speak", "found": "find",
    "came": "come", "became": "become", "grew": "grow", "grown": "grow", "knew": "know", "known": "know", "ran": "run",
    "rose": "rise", "said": "say", "told": "tell", "taught": "teach", "thought": "think", "broke": "break", "broken": "break",
    "chose": "choose", "chosen": "choose", "fought": "fight", "kept": "keep", "met": "meet", "died": "die", "lying": "lie",
    "dying": "die", "shipped": "ship", "bring": "bring", "brought": "bring", "caught": "catch", "wore": "wear", "worn": "wear",
    "felt": "feel", "fell": "fall", "fallen": "fall", "drove": "drive", "driven": "drive", "spent": "spend", "during": "during",
}  # fmt: skip


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of a lower-case word; anything but four or more ASCII letters is returned as it is (``was`` aside)."""
    if (known := _IRREGULAR.get(word)) is not None:
        return known
    if not _PLAIN.match(word):
        return word
    return _final_e(_suffix(_plural(word)))


def _plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _suffix(word: str) -> str:
    for suffix in ("edly", "ingly", "ing", "ed"):
        if word.endswith(suffix):
            base = word[: -len(suffix)]
            if len(base) >= 3 and _VOWEL.search(base):
                return _undouble(base)
            return word
    if word.endswith("ly") and len(word) > 5:
        return word[:-2]
    return word


def _undouble(base: str) -> str:
    if base[-1] == base[-2] and base[-1] not in "lsz":
        return base[:-1]
    if base.endswith("i"):
        return base[:-1] + "y"
    return base


def _final_e(word: str) -> str:
    """``store``, ``stored``, ``storing`` meet at ``stor``."""
    if word.endswith("e") and len(word) > 4:
        return word[:-1]
    if word.endswith("i"):
        return word[:-1] + "y"
    return word
