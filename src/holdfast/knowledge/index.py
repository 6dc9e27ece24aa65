"""The embedded index: one SQLite file behind the `Knowledge` Protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from holdfast.errors import KnowledgeClosed
from holdfast.knowledge.contract import Document, Extracted, Hit, Passage
from holdfast.knowledge.storage import IndexFile

T = TypeVar("T")

_THREADS: Final = min(4, os.cpu_count() or 1)


class KnowledgeIndex:
    """An index in one file. All work is done in a few threads of its own, so that the event loop never waits for it.

    Open it with `KnowledgeIndex.open`; ``async with`` closes it. Several processes may search one file while one adds to it:
    a search sees each document as it was before or after, never half.
    """

    def __init__(self, file: IndexFile, threads: ThreadPoolExecutor) -> None:
        self._file = file
        self._threads = threads
        self._closed = False

    @classmethod
    async def open(cls, path: str | Path, *, write: bool = False) -> Self:
        """Opens an index; with ``write`` it is made where there is none, and documents may be added.

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
        return cls(file, threads)

    @property
    def threshold(self) -> float:
        """The coverage under which a hit is not relevant in this collection; see `holdfast.knowledge.calibration`."""
        return self._file.threshold

    async def search(self, query: str, *, limit: int = 5) -> list[Hit]:
        """See `Knowledge.search`."""
        return await self._run(lambda: self._file.search(query, limit))

    async def weights(self, query: str) -> Mapping[str, float]:
        """See `Knowledge.weights`: by idf, the former turn's less."""
        return await self._run(lambda: self._file.weights(query))

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
        """Finds `threshold` for the present content and keeps it in the file; does nothing where it is known."""
        return await self._run(self._file.calibrate)

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
