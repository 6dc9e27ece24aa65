"""An embedder behind any OpenAI-compatible ``/embeddings``."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from holdfast.errors import EmbeddingError, MissingExtra

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LONGEST: Final = 6000
"""Characters of a text that are sent; models take some 8 000 tokens, and a passage has 1 200 characters at most."""


class OpenAIEmbedder:
    """`Embedder` over the ``openai`` SDK, which is imported when the first vector is asked for.

    Args:
        name: the model's, as the endpoint knows it.
        base_url: of the endpoint, without ``/embeddings``; None is OpenAI's own.
        api_key: None for servers that want none.
        dimensions: the size that vectors must have, where it is known; 0 takes that of the first.
        timeout: seconds for a request.
        retries: of a request that failed.

    Raises `MissingExtra` where it is made without the SDK being installed.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimensions: int = 0,
        timeout: float = 30.0,
        retries: int = 1,
    ) -> None:
        if find_spec("openai") is None:
            raise MissingExtra('embeddings need the openai package: pip install "holdfast[model]"')
        self.name = name
        self.dimensions = dimensions
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        self._retries = retries
        self._client: AsyncOpenAI | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`."""
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, "openai")  # a second of work
        import openai

        try:
            async with asyncio.timeout(self._timeout * (self._retries + 1)):  # the SDK's own is for each read
                answer = await self._opened().embeddings.create(
                    model=self.name,
                    input=[text[:LONGEST] or " " for text in texts],
                    encoding_format="float",  # the SDK's default, base64, is not known to every server
                )
            return self._checked(answer, len(texts))
        except (openai.APITimeoutError, TimeoutError) as error:
            raise EmbeddingError(f"{self.name} made no vectors in time", "timeout") from error
        except openai.APIConnectionError as error:
            raise EmbeddingError(f"the embeddings' endpoint of {self.name} cannot be reached", "unreachable") from error
        except openai.APIStatusError as error:
            raise EmbeddingError(
                f"the embeddings' server of {self.name} answered {error.status_code}", "refused"
            ) from error
        except EmbeddingError:
            raise
        except (openai.APIError, ValueError, TypeError, AttributeError, LookupError) as error:
            # the SDK does not check what it is sent
            raise EmbeddingError(
                f"the answer of {self.name} cannot be read: {type(error).__name__}", "garbled"
            ) from error

    def _checked(self, answer: Any, wanted: int) -> list[list[float]]:
        found: list[list[float] | None] = [None] * wanted
        for position, item in enumerate(answer.data):
            place = item.index if isinstance(item.index, int) else position  # some servers number none
            found[place] = [float(value) for value in item.embedding]
        vectors = [vector for vector in found if vector]
        if len(vectors) != wanted:
            raise EmbeddingError(f"{self.name} sent {len(vectors)} vectors for {wanted} texts", "garbled")
        self.dimensions = self.dimensions or len(vectors[0])
        if wrong := next((len(vector) for vector in vectors if len(vector) != self.dimensions), 0):
            raise EmbeddingError(f"{self.name} made a vector of {wrong} dimensions, not {self.dimensions}", "garbled")
        return vectors

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                api_key=self._api_key or "none",
                base_url=self._base_url,
                timeout=self._timeout,
                max_retries=self._retries,
            )
        return self._client

    async def aclose(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
