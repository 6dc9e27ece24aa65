"""Several collections asked as one: each judges by its own statistics and threshold, the answers are put in one order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, Self, runtime_checkable

import msgspec
from msgspec import structs

from holdfast.errors import KnowledgeError, KnowledgeMissing
from holdfast.knowledge.collection_files import DEFAULT
from holdfast.knowledge.contract import Document, Hit, Knowledge, Passage, SearchResult


class Collection(msgspec.Struct, frozen=True):
    """A collection as an assistant sees it.

    Attributes:
        knowledge: its documents.
        threshold: the coverage under which a hit is not relevant, 0 to 1; None takes the collection's own.
        passages: how many passages it gives at most.
        description: what it is about, in a line or two: by that a flow's author or a model chooses.
    """

    knowledge: Knowledge
    threshold: float | None = None
    passages: int = 5
    description: str = ""


@runtime_checkable
class KeepsTexts(Protocol):
    """Knowledge that keeps its documents' texts (a capability: a search server need not)."""

    async def document_text(self, name: str) -> str | None:
        """A document's extracted text; None where there is no such document."""
        ...


class Collections:
    """Named collections, itself a `Knowledge` over all of them. ``closing`` is called after they were closed."""

    def __init__(
        self, members: Mapping[str, Collection], closing: Sequence[Callable[[], Awaitable[None]]] = ()
    ) -> None:
        self.members: Final = dict(members)
        self._closing = closing

    def passages(self, among: Sequence[str] = ()) -> int:
        """How many passages an answer from these is made from: the most that one of them gives."""
        return max((member.passages for member in self._chosen(among).values()), default=0)

    async def retrieve(self, query: str, *, limit: int | None = None, among: Sequence[str] = ()) -> SearchResult:
        """See `Knowledge.retrieve`; ``among``: the names of the collections to ask, all where empty.

        ``limit`` None is `passages`. A collection that cannot be used is left out, and `SearchResult.degraded` says so.

        Raises `KnowledgeMissing` for a name that there is not, and `KnowledgeError` where none can be used.
        """
        chosen = self._chosen(among)
        limit = self.passages(among) if limit is None else limit

        async def ask(name: str, member: Collection) -> SearchResult | KnowledgeError:
            try:
                found = await member.knowledge.retrieve(query, limit=min(limit, member.passages))
            except KnowledgeError as error:
                return error
            return found if member.threshold is None else structs.replace(found, threshold=member.threshold)

        answers = dict(
            zip(chosen, await asyncio.gather(*(ask(name, member) for name, member in chosen.items())), strict=True)
        )
        found = {name: answer for name, answer in answers.items() if isinstance(answer, SearchResult)}
        failed = {name: answer for name, answer in answers.items() if isinstance(answer, KnowledgeError)}
        if failed and not found:
            raise next(iter(failed.values()))
        merged_result = merged(found, limit)
        left_out = (f"collection {name}: {error}" for name, error in failed.items())
        return structs.replace(merged_result, degraded=(*merged_result.degraded, *left_out))

    async def passage(self, id: str) -> Passage | None:
        """See `Knowledge.passage`: of the first collection that has it."""
        for name, member in self.members.items():
            if (found := await member.knowledge.passage(id)) is not None:
                return structs.replace(found, collection=stamp(name))
        return None

    async def documents(self) -> list[Document]:
        """See `Knowledge.documents`; those of each collection together."""
        return [
            structs.replace(document, collection=stamp(name))
            for name, member in self.members.items()
            for document in await member.knowledge.documents()
        ]

    async def document_text(self, name: str, collection: str | None = None) -> str | None:
        """A document's extracted text; ``collection`` as a citation names it, None is the first that has the document."""
        for key, member in self.members.items():
            if collection in (None, stamp(key)) and isinstance(member.knowledge, KeepsTexts):
                text = await member.knowledge.document_text(name)
                if text is not None:
                    return text
        return None

    async def close(self) -> None:
        """See `Knowledge.close`."""
        for member in self.members.values():
            await member.knowledge.close()
        closing, self._closing = self._closing, ()
        for close in closing:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _chosen(self, among: Sequence[str]) -> dict[str, Collection]:
        wanted = [name or DEFAULT for name in among] or list(self.members)
        if missing := [name for name in wanted if name not in self.members]:
            there = ", ".join(self.members)
            raise KnowledgeMissing(f"there is no collection {', '.join(missing)}; there are: {there}")
        return {name: self.members[name] for name in wanted}


def merged(found: Mapping[str, SearchResult], limit: int) -> SearchResult:
    """The best hits of several collections; each one's stay in its own order.

    Where one has something relevant, by its own threshold, those that have not say nothing. The threshold of the whole is the
    highest of those that speak, which decides as they did: either each has a hit above its own, or none has.
    """
    relevant = {name: result for name, result in found.items() if _relevant(result)}
    asked = relevant or found
    waiting = {name: list(result.hits) for name, result in asked.items() if result.hits}
    hits: list[Hit] = []
    while waiting and len(hits) < limit:
        name = max(waiting, key=lambda name: _standing(waiting[name][0], asked[name]))
        hit = waiting[name].pop(0)
        hits.append(structs.replace(hit, passage=structs.replace(hit.passage, collection=stamp(name))))
        if not waiting[name]:
            del waiting[name]
    weights: dict[str, float] = {}
    for result in asked.values():
        for term, weight in result.weights.items():
            weights[term] = max(weight, weights.get(term, 0.0))
    degraded = (
        f"collection {name}: {reason}" if len(found) > 1 else reason
        for name, result in found.items()
        for reason in result.degraded
    )
    return SearchResult(
        tuple(hits),
        weights,
        max((result.threshold for result in asked.values()), default=0.0),
        tuple(degraded),
    )


def stamp(name: str) -> str:
    """How passages, documents and citations name a collection: the default one not at all."""
    return "" if name == DEFAULT else name


def _relevant(result: SearchResult) -> bool:
    return bool(result.hits) and max(hit.coverage for hit in result.hits) >= result.threshold


def _standing(hit: Hit, result: SearchResult) -> float:
    """What compares the heads of two collections' lists: score by the question's whole weight there, times coverage.

    hit@1 over three parts of a set: within a point of one index; by score alone, coverage or coverage by threshold 1 to 2 less.
    """
    return hit.coverage * hit.score / (sum(result.weights.values()) or 1.0)
