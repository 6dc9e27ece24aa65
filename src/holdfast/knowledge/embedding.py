"""Texts to vectors: what an embedder is, and how an index asks one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from holdfast.errors import EmbeddingError
from holdfast.knowledge.query import standing_alone
from holdfast.knowledge.vectors import Near

BATCH: Final = 32
"""Texts of one request."""

RESTS: Final = 5.0
"""Seconds in which an embedder that failed at a question is not asked again: nobody waits for it twice in a row."""


class Embedder(Protocol):
    """Makes a vector of a text; texts that mean the same have a high cosine."""

    @property
    def name(self) -> str:
        """The model's name. Vectors are kept under it: another model or another size needs another name."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers of a vector; 0 while it is not known."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text, in order. Raises `EmbeddingError`."""
        ...


async def vectors_of(embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text, asked for in batches. Raises `EmbeddingError`."""
    vectors: list[list[float]] = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        made = await embedder.embed(batch)
        if len(made) != len(batch):
            raise EmbeddingError(f"{embedder.name} sent {len(made)} vectors for {len(batch)} texts", "garbled")
        vectors += made
    return vectors


class QueryEmbedding:
    """Questions to vectors, within a time, and not at all for `RESTS` seconds after a failure.

    ``timeout``: seconds that a question waits at most. ``clock``: monotonic seconds.
    """

    def __init__(
        self, embedder: Embedder, *, timeout: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.embedder = embedder
        self._timeout = timeout
        self._clock = clock
        self._failed: tuple[float, str] | None = None

    async def near(self, query: str) -> tuple[Near | None, str]:
        """The query's vector, or None and why there is none."""
        text = standing_alone(query)
        if not text:
            return None, ""
        if self._failed is not None and self._clock() - self._failed[0] < RESTS:
            return None, f"{self._failed[1]} (not asked again for {RESTS:g} s)"
        try:
            async with asyncio.timeout(self._timeout):
                (vector,) = await vectors_of(self.embedder, [text])
        except TimeoutError:
            return None, self._noted(f"{self.embedder.name} made no vector within {self._timeout:g} s")
        except EmbeddingError as error:
            return None, self._noted(str(error))
        self._failed = None
        return Near(self.embedder.name, vector), ""

    def _noted(self, reason: str) -> str:
        self._failed = (self._clock(), reason)
        return reason
