"""Questions to the knowledge, and what it finds as citations."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.assistant.contract import Retrieval
from holdfast.knowledge.collection_files import DEFAULT
from holdfast.knowledge.collections import Collection, Collections
from holdfast.knowledge.contract import Hit, Knowledge
from holdfast.knowledge.extractive import Quote, extract
from holdfast.knowledge.rewriting import Complete, Rewriter
from holdfast.sessions.message import Citation


class KnowledgeDocuments:
    """`Documents` over collections, or over one `Knowledge` as the default collection.

    Args:
        knowledge: where to look.
        passages, threshold: of the default collection, where ``knowledge`` is not `Collections` (which know theirs): how many
            passages an answer is made from, and the least coverage that is relevant; None is the index's own.
        rewrite_timeout: seconds that a question waits for a model that rewrites it.
    """

    def __init__(
        self,
        knowledge: Knowledge | Collections,
        *,
        passages: int = 5,
        threshold: float | None = None,
        rewrite_timeout: float = 3.0,
    ) -> None:
        if isinstance(knowledge, Collections):
            self.collections = knowledge
        else:
            self.collections = Collections({DEFAULT: Collection(knowledge, threshold, passages)})
        self._rewrite_timeout = rewrite_timeout

    async def search(
        self,
        question: str,
        earlier: Sequence[str],
        *,
        collections: Sequence[str] = (),
        complete: Complete | None = None,
    ) -> Retrieval:
        """See `Documents.search`. Raises `KnowledgeError`."""
        rewriter = Rewriter(complete, timeout=self._rewrite_timeout)
        rewritten = await rewriter.rewrite([*earlier, question])
        found = await self.collections.retrieve(rewritten.query, among=collections)
        extracted = extract(rewritten.query, found.hits, found.weights, threshold=found.threshold)
        failed = (rewritten.failed,) if rewritten.failed else ()
        return Retrieval(
            question,
            extracted.relevant,
            tuple(_passage(hit) for hit in found.hits),
            tuple(_quote(quote) for quote in extracted.quotes),
            tuple(hit.score for hit in found.hits),
            rewritten.question or ("" if rewritten.query == question else rewritten.query),
            (*failed, *found.degraded),
        )


def _passage(hit: Hit) -> Citation:
    one = hit.passage
    return Citation(one.document, one.text, one.title, one.page, one.start, one.end, collection=one.collection)


def _quote(one: Quote) -> Citation:
    return Citation(one.document, one.text, one.title, one.page, one.start, one.end, collection=one.collection)
