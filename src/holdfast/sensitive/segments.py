"""Where a text may be cut so that no value is cut: what makes masking a stream the same as masking its whole text.

A cut depends on the characters right before it and on the one behind it, never on what else follows; between two cuts, and with the
64 characters before them, everything is found that will ever be found there.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 256
"""Characters after which a text is cut in any case."""

_DIGITISH: Final = frozenset("0123456789０１２３４５６７８９ -.·零〇一二三四五六七八九幺+()（）")
_WHOLE_NUMBER: Final = re.compile(r"\d{9}[ ]")
_WORDS: Final = (
    "the|a|an|is|are|was|were|be|been|to|for|in|on|at|by|with|from|or|but|if|not|it|its|this|that|these|those|you|your|we|our|us"
    "|they|their|them|he|she|his|her|my|me|i|please|can|could|would|should|have|has|had|do|does|did|as|so|than|then|when|where"
    "|which|who|what|how|there|here|also|about|because|after|before|only|just|still"
)
_CUT: Final = re.compile(
    r"[\n\r。！？；…《》【】“”「」]"
    r"|[，、：](?![0-9０-９零〇一二三四五六七八九幺+手电联号身住地tTmMpP])"
    r"|[的了是吗呢吧您你我他她它们这请已就还很再又被把让在到]"
    r"|[!?;](?=[\s\u3000-\u9fff\"'])"
    rf"|\b(?:{_WORDS})[ ](?=\S)"
    r"|(?<=[a-z]{4})\.[ ](?=\S)"
)


def next_cut(text: str, start: int, *, whole: bool) -> int | None:
    """Where the part that begins at ``start`` ends; None where only what follows will tell. ``whole``: nothing follows."""
    limit = start + LONGEST
    match = _CUT.search(text, start, limit)
    if match is not None and (match.end() < len(text) or whole):
        return match.end()
    if match is None and len(text) > limit:
        return _forced(text, start, limit)
    return len(text) if whole else None


def _forced(text: str, start: int, limit: int) -> int:
    """In the second half: between two words, else behind a whole number, else at a space."""
    half = start + LONGEST // 2
    for place in range(limit, half, -1):
        left, right = text[place - 1], text[place]
        inside = left.isalnum() and right.isalnum() and left.isascii()
        if left not in _DIGITISH and right not in _DIGITISH and not inside:
            return place
    spaces = [place for place in range(limit, half, -1) if text[place - 1] == " "]
    return next((place for place in spaces if _WHOLE_NUMBER.match(text, place - 10)), spaces[0] if spaces else limit)
