"""The embedded index: one SQLite file behind the `Knowledge` Protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from msgspec import structs

from holdfast.errors import KnowledgeClosed
from holdfast.knowledge.contract import Document, Extracted, Hit, Passage, SearchResult
from holdfast.knowledge.embedding import BATCH, Embedder, QueryEmbedding, vectors_of
from holdfast.knowledge.storage import IndexFile

T = TypeVar("T")

_THREADS: Final = min(4, os.cpu_count() or 1)


class KnowledgeIndex:
    """An index in one file. All work is done in a few threads of its own, so that the event loop never waits for it.

    Open it with `KnowledgeIndex.open`; ``async with`` closes it. Several processes may search one file while one adds to it:
    a search sees each document as it was before or after, never half.
    """

    def __init__(self, file: IndexFile, threads: ThreadPoolExecutor, embedding: QueryEmbedding | None = None) -> None:
        self._file = file
        self._threads = threads
        self._embedding = embedding
        self._closed = False

    @classmethod
    async def open(
        cls, path: str | Path, *, write: bool = False, embedder: Embedder | None = None, embed_timeout: float = 2.0
    ) -> Self:
        """Opens an index; with ``write`` it is made where there is none, and documents may be added.

        With an ``embedder`` (which stays the caller's to close) searches fuse what its vectors find; a question waits for its
        vector ``embed_timeout`` seconds at most.

        Raises:
            KnowledgeMissing: there is no such file (or, with ``write``, no folder for it).
            IndexUnusable: another program's file, damaged, or of another release's schema.
        """
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="knowledge")
        try:
            file = await asyncio.get_running_loop().run_in_executor(threads, lambda: IndexFile(Path(path), write=write))
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return cls(file, threads, None if embedder is None else QueryEmbedding(embedder, timeout=embed_timeout))

    @property
    def threshold(self) -> float:
        """The coverage under which a hit is not relevant in this collection, as last read; see `holdfast.knowledge.calibration`."""
        return self._file.threshold

    async def retrieve(self, query: str, *, limit: int = 5) -> SearchResult:
        """See `Knowledge.retrieve`. Weights are by idf, the former turn's less."""
        near, reason = None, ""
        if self._embedding is not None and limit > 0:
            near, reason = await self._embedding.near(query)
        found = await self._run(lambda: self._file.retrieve(query, limit, near))
        return structs.replace(found, degraded=(*found.degraded, reason)) if reason else found

    async def search(self, query: str, *, limit: int = 5) -> list[Hit]:
        """The hits of `retrieve` alone."""
        return list((await self.retrieve(query, limit=limit)).hits)

    async def passage(self, id: str) -> Passage | None:
        """See `Knowledge.passage`."""
        return await self._run(lambda: self._file.passage(id))

    async def documents(self) -> list[Document]:
        """See `Knowledge.documents`."""
        return await self._run(self._file.documents)

    async def document_text(self, name: str) -> str | None:
        """A document's extracted text, in which passages' offsets count; None where there is no such document."""
        return await self._run(lambda: self._file.document_text(name))

    async def hash_of(self, name: str) -> str | None:
        """The hash under which a document was added; None where there is no such document."""
        return await self._run(lambda: self._file.hash_of(name))

    async def put(self, name: str, hash: str, extracted: Extracted) -> int:
        """Adds or replaces a document, all or nothing; returns the number of its passages. `calibrate` when all are in."""
        return await self._run(lambda: self._file.put(name, hash, extracted))

    async def remove(self, name: str) -> bool:
        """Removes a document; False where there is none of that name."""
        return await self._run(lambda: self._file.remove(name))

    async def calibrate(self) -> float:
        """Finds `threshold` for the present content and keeps it in the file.

        The known one is left where no more than a twentieth of the passages changed since.
        """
        return await self._run(self._file.calibrate)

    async def embed(self, progress: Callable[[int], None] | None = None) -> int:
        """Has vectors made for the passages that lack them, and returns how many; ``progress`` is told so far.

        Then the vectors are judged, by whether they find the collection's own sentences: those of a model that does not suit are
        not used (and `retrieve` says so). Another model's vectors are removed. Raises `EmbeddingError`; what was made stays.
        """
        if self._embedding is None:
            return 0
        embedder = self._embedding.embedder
        made, after = 0, ""
        while lacking := await self._run(partial(self._file.without_vector, embedder.name, after, BATCH)):
            vectors = await vectors_of(embedder, [text for _, text in lacking])
            found = [(key, vector) for (key, _), vector in zip(lacking, vectors, strict=True)]
            await self._run(partial(self._file.keep_vectors, embedder.name, found))
            made += len(found)
            after = lacking[-1][0]
            if progress is not None:
                progress(made)
        if made:
            asked = await self._run(lambda: self._file.vectors_to_judge(embedder.name, made))
            vectors = await vectors_of(embedder, [text for text, _ in asked])
            judged = [(passage, vector) for (_, passage), vector in zip(asked, vectors, strict=True)]
            await self._run(lambda: self._file.settle_vectors(embedder.name, judged))
        return made

    async def close(self) -> None:
        """See `Knowledge.close`."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
            self._file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise KnowledgeClosed("this knowledge index was closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
