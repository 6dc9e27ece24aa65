"""Text to terms: what the index stores and a query asks for.

Normalised by NFKC and case folding (full-width letters and digits become plain ones), Latin accents removed. Scripts without
spaces (Chinese, Japanese, Korean syllables too) become overlapping pairs of characters; other words are split at anything
but letters and digits, English stop words dropped and the rest stemmed lightly. Numbers lose their grouping commas; a code
such as ``WH-1000XM5`` is kept whole beside its parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from holdfast.knowledge.stemming import stem
from holdfast.knowledge.stopwords import CHINESE_FUNCTION, CHINESE_QUESTION, ENGLISH, ENGLISH_QUESTION

CJK: Final = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af\u3005\u3007\U00020000-\U0003ffff"
)
_TOKEN: Final = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:[-./][^\W_{CJK}]+)*", re.UNICODE)
_PART: Final = re.compile(r"[^\W_]+", re.UNICODE)
_IS_CJK: Final = re.compile(rf"[{CJK}]")
_GROUPED: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MARKS: Final = re.compile("[\u0300-\u036f]")
_LONGEST: Final = 64
"""Characters of a term; longer ones (base64, hashes) are cut, so that they still match themselves."""


def normalised(text: str) -> str:
    """NFKC, case folded, Latin accents and grouping commas removed, without NUL. Offsets do not survive it."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))
        text = text.replace("\u2019", "'")
    return _GROUPED.sub("", text)


def terms(text: str) -> list[str]:
    """The terms of a document's text, in order, with repetitions."""
    return list(_terms(normalised(text)))


def query_terms(text: str) -> list[str]:
    """The informative terms of a question: as `terms`, without question words and Chinese function words.

    A query of nothing else falls back to all its terms.
    """
    plain = normalised(text)
    cut = CHINESE_FUNCTION.sub(" ", CHINESE_QUESTION.sub(" ", ENGLISH_QUESTION.sub(" ", plain)))
    found = list(_terms(cut, whole_runs=True))
    return found or list(_terms(plain, whole_runs=True))


def _terms(plain: str, *, whole_runs: bool = False) -> Iterator[str]:
    for match in _TOKEN.finditer(plain):
        token = match[0]
        if _IS_CJK.match(token):
            yield from _pairs(token, whole_runs)
        else:
            yield from _words(token)


def _pairs(run: str, query: bool) -> Iterator[str]:
    """Overlapping pairs. A document also keeps a run's last character alone, so that ``x*`` finds every x."""
    for i in range(len(run) - 1):
        yield run[i : i + 2]
    if not query or len(run) == 1:
        yield run[-1]


def _words(token: str) -> Iterator[str]:
    parts = _PART.findall(token)
    for part in parts:
        if part not in ENGLISH:
            yield stem(part[:_LONGEST])
    if len(parts) > 1 and any(c.isdigit() for c in token):
        yield "".join(parts)[:_LONGEST]


@lru_cache(maxsize=65536)
def is_cjk(term: str) -> bool:
    """Whether the term is made of Chinese, Japanese or Korean characters."""
    return _IS_CJK.match(term) is not None
