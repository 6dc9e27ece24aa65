"""Questions to the knowledge index, and what it finds as citations."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.assistant.contract import Retrieval
from holdfast.knowledge.contract import Knowledge, Passage
from holdfast.knowledge.extractive import Quote, extract
from holdfast.knowledge.query import query_from_turns
from holdfast.sessions.message import Citation


class KnowledgeDocuments:
    """`Documents` over a `Knowledge`.

    ``passages``: how many an answer is made from. ``threshold``: the least coverage that is relevant; None is the index's own.
    """

    def __init__(self, knowledge: Knowledge, *, passages: int = 5, threshold: float | None = None) -> None:
        self._knowledge = knowledge
        self._passages = passages
        self._threshold = threshold

    async def search(self, question: str, earlier: Sequence[str]) -> Retrieval:
        """See `Documents.search`. Raises `KnowledgeError`."""
        query = query_from_turns([*earlier, question])
        found = await self._knowledge.retrieve(query, limit=self._passages)
        threshold = found.threshold if self._threshold is None else self._threshold
        extracted = extract(query, found.hits, found.weights, threshold=threshold)
        return Retrieval(
            question,
            extracted.relevant,
            tuple(_passage(hit.passage) for hit in found.hits),
            tuple(_quote(quote) for quote in extracted.quotes),
        )


def _passage(passage: Passage) -> Citation:
    return Citation(passage.document, passage.text, passage.title, passage.page, passage.start, passage.end)


def _quote(quote: Quote) -> Citation:
    return Citation(quote.document, quote.text, quote.title, quote.page, quote.start, quote.end)
