"""Where one list of messages goes on in another. Plain functions over what each message says, as bytes."""

from __future__ import annotations

from collections.abc import Sequence


def overlap(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    """How many of the first of ``new`` are the last of ``old`` (Knuth, Morris and Pratt): where the source drops its oldest
    messages, the rest of ``new`` still comes right behind ``old``."""
    return _matched(old[max(0, len(old) - len(new)) :], new)[1]


def contains(old: Sequence[bytes], new: Sequence[bytes]) -> bool:
    """Does ``new`` stand in ``old`` without a gap?"""
    return _matched(old, new)[0]


def _matched(text: Sequence[bytes], word: Sequence[bytes]) -> tuple[bool, int]:
    """Was the whole word in the text; and how long a beginning of the word the text ends with."""
    if not word:
        return True, 0
    back = [0] * len(word)
    for at in range(1, len(word)):
        back[at] = _step(word, back, back[at - 1], word[at])
    matched, whole = 0, False
    for item in text:
        if matched == len(word):
            matched = back[matched - 1]
        matched = _step(word, back, matched, item)
        whole = whole or matched == len(word)
    return whole, matched


def _step(word: Sequence[bytes], back: Sequence[int], matched: int, item: bytes) -> int:
    while matched and word[matched] != item:
        matched = back[matched - 1]
    return matched + (word[matched] == item)
