"""Documents that stand in a mapping. A search server would be asked in `search` in the same way."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from holdfast import Citation
from holdfast.assistant.contract import Retrieval
from holdfast.assistant.parts import Parts
from holdfast.errors import ConfigError

FILE: Final = "EXAMPLE_PARTS_SHELF"
"""The variable that names a JSON file: an object of texts by title."""

TEXTS: Final[Mapping[str, str]] = {
    "Returns": "Goods can be returned within 7 days. The shop pays for the parcel.",
    "Shipping": "Shipping takes 2 working days. It is free from 50 euros on.",
    "退货": "商品签收后 7 天内可以退货。运费由商家承担。",
}
_WORD: Final = re.compile(r"[a-z0-9]{3,}|[\u4e00-\u9fff]")
_LEAST: Final = 0.3
"""Of a question's words, how many a text must have to be about it."""


class Shelf:
    """A few texts, found by the words that they share with the question."""

    def __init__(self, parts: Parts) -> None:
        self._texts = _read(os.environ[FILE]) if FILE in os.environ else TEXTS

    async def search(self, question: str, earlier: Sequence[str]) -> Retrieval:
        """See `Documents.search`. A server's client would raise `KnowledgeError` where it gets no answer."""
        wanted = _words(question)
        scored = [
            (len(wanted & _words(f"{title} {text}")) / len(wanted), title)
            for title, text in self._texts.items()
            if wanted
        ]
        best = sorted((score, title) for score, title in scored if score >= _LEAST)[::-1][:3]
        passages = tuple(Citation(title, self._texts[title], title) for _, title in best)
        quotes = [sentence for passage in passages[:1] for sentence in _sentences(passage)]
        return Retrieval(question, bool(passages), passages, tuple(quotes), tuple(score for score, _ in best))


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in _WORD.findall(text.lower())}


def _sentences(passage: Citation) -> list[Citation]:
    found = re.finditer(r"[^.。]+[.。]", passage.quote)
    return [Citation(passage.document, one[0].strip(), passage.title) for one in found]


def _read(file: str) -> dict[str, str]:
    """Raises `ConfigError`: what is wrong with a part's settings is told when it is made, not in a conversation."""
    try:
        texts = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{FILE}={file} cannot be read: {error}") from None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ConfigError(f"{FILE}={file} is not an object of texts by title")
    return texts
