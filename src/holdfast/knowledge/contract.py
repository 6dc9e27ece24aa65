"""What the knowledge part gives and takes: passages, hits, and the Protocol of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Passage(msgspec.Struct, frozen=True):
    """A stretch of a document, the unit that is searched and cited.

    Attributes:
        id: names the passage; the same document, place and text give the same id in every index.
        document: the document's name, usually its path relative to the folder that was added.
        title: the document's title and the headings above the passage, joined by ``›``.
        page: the page on which it starts, from 1; None where the format has no pages.
        start, end: character offsets (half-open) in the document's extracted text.
        text: that stretch, ``extracted[start:end]``.
        collection: the name of the collection that it was found in; empty for the default one.
    """

    id: str
    document: str
    title: str
    page: int | None
    start: int
    end: int
    text: str
    collection: str = ""


class Hit(msgspec.Struct, frozen=True):
    """A passage found for a query.

    Attributes:
        passage: what was found.
        score: the higher the better; comparable within one search only.
        coverage: share of the query's informative terms (weighted by rarity) that the passage covers, 0 to 1; comparable
            within one index, against its `SearchResult.threshold`.
    """

    passage: Passage
    score: float
    coverage: float


class Document(msgspec.Struct, frozen=True):
    """A document of an index.

    Attributes:
        name: its key in the index.
        title: its title; empty where it names none.
        hash: SHA-256 of the file's bytes, in hexadecimal.
        characters: length of its extracted text.
        passages: how many passages were made of it.
        collection: the collection that holds it; empty for the default one.
    """

    name: str
    title: str
    hash: str
    characters: int
    passages: int
    collection: str = ""


class SearchResult(msgspec.Struct, frozen=True):
    """What a search found.

    Attributes:
        hits: best first.
        weights: the query's informative terms (as `terms` makes them) and how much each counts; empty where the index has none
            to give.
        threshold: the coverage under which a hit is not relevant, 0 to 1.
        degraded: why a part of the search was left out (no vectors, an endpoint that is down), for a trace; empty where all took
            part.
    """

    hits: tuple[Hit, ...] = ()
    weights: Mapping[str, float] = {}
    threshold: float = 0.0
    degraded: tuple[str, ...] = ()


class Heading(msgspec.Struct, frozen=True):
    """A heading in extracted text: its offsets, and its level, 1 for the highest."""

    start: int
    end: int
    level: int


class Extracted(msgspec.Struct, frozen=True):
    """A document's text as a reader took it out of a file.

    Attributes:
        text: what passages' offsets count in; a line break ends a paragraph, an item or a table's row.
        title: the document's title; empty where it names none.
        headings: in order, not overlapping.
        pages: offset at which each page starts; empty where the format has no pages.
    """

    text: str
    title: str = ""
    headings: Sequence[Heading] = ()
    pages: Sequence[int] = ()


class Knowledge(Protocol):
    """Searchable documents: one collection, or several seen as one. An embedded file and a search server can both stand behind it.

    Methods raise `KnowledgeError` where the index cannot be used; nothing found is an empty result or None.
    """

    async def retrieve(self, query: str, *, limit: int = 5) -> SearchResult:
        """The best passages, and what is needed to judge and quote them, of one moment's content.

        The query's first line is the question; further lines are context from earlier in the conversation (see
        `query_from_turns`) and weigh less. Any text is a valid query; only its beginning is used where it is very long.
        """
        ...

    async def passage(self, id: str) -> Passage | None:
        """The passage of that id, None where there is none (any more)."""
        ...

    async def documents(self) -> list[Document]:
        """All documents, by name."""
        ...

    async def close(self) -> None:
        """Ends running searches and frees what is held; may be called twice."""
        ...
