"""A language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from holdfast.assistant.contract import Chunk, Prompt, ToolSpec
from holdfast.assistant.models import wire
from holdfast.config import ModelSection
from holdfast.errors import ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_log: Final = logging.getLogger(__name__)
_ABOUT_REQUEST: Final = frozenset({400, 413, 414, 422})
"""Answers that say that the request is wrong, not that the server is."""
_EXTRAS: Final = ("stream_options", "response_format")
"""What not every server knows; asked for until it is refused."""


class OpenAIModel:
    """`Model` over the ``openai`` SDK, which is imported when the first answer is asked for."""

    def __init__(self, settings: ModelSection) -> None:
        self.name = settings.name
        self._settings = settings
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._unknown: set[str] = set()

    async def open(self) -> None:
        """Imports the SDK and makes its client, so that this takes nothing of an answer's time: it is a second of our own."""
        await self._opened()

    async def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`. Its reason is ``timeout`` too where nothing comes for ``idle`` seconds."""
        client = await self._opened()
        settings, now = self._settings, asyncio.get_running_loop().time
        ends = now() + settings.timeout
        async with aclosing(self._events(client, self._request(prompts, tools, schema))) as events:
            while True:
                left = ends - now()
                try:
                    async with asyncio.timeout(max(0.0, min(settings.idle, left))):
                        event = await anext(events, None)
                except TimeoutError:
                    if left < settings.idle:
                        raise ModelError(f"the model took longer than {settings.timeout:g} s", "timeout") from None
                    raise ModelError(f"the model was silent for {settings.idle:g} s", "timeout") from None
                if event is None:
                    return
                yield event

    def _request(
        self, prompts: Sequence[Prompt], tools: Sequence[ToolSpec], schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        settings = self._settings
        request: dict[str, Any] = {
            "model": self.name,
            "messages": wire.messages(prompts),
            "max_tokens": settings.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if tools:
            request["tools"] = wire.functions(tools)
        if schema is not None:
            request["response_format"] = wire.response_format(schema)
        return {name: value for name, value in request.items() if name not in self._unknown}

    async def _events(self, client: AsyncOpenAI, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        import openai

        reading = wire.Reading()
        try:
            async with await self._answer(client, request) as answer:
                async for part in answer:
                    yield reading.chunk(part)
        except openai.APITimeoutError as error:
            raise ModelError("the model gave no answer in time", "timeout") from error
        except openai.APIConnectionError as error:
            raise ModelError("the model cannot be reached", "unreachable") from error
        except openai.APIStatusError as error:
            status = error.status_code
            raise ModelError(
                f"the model's server answered {status}", "refused", request=status in _ABOUT_REQUEST
            ) from error
        except ModelError:
            raise
        except openai.APIError as error:  # an error event inside the stream
            raise ModelError("the model's server broke off with an error", "refused") from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # the SDK does not check what it is sent
            raise ModelError(f"the model's answer cannot be read: {type(error).__name__}", "garbled") from error
        except Exception as error:  # its HTTP client's errors pass through the SDK while a stream is read
            raise ModelError(f"the connection to the model broke: {type(error).__name__}", "unreachable") from error

    async def _answer(self, client: AsyncOpenAI, request: dict[str, Any]) -> Any:
        """The open stream; without what this server turns out not to know."""
        import openai

        while True:
            try:
                return await client.chat.completions.create(**request)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = [name for name in _EXTRAS if name in request and name in str(error)]
                if not refused:
                    raise
                _log.info("model %s does not know %s; it is asked without from now on", self.name, refused[0])
                self._unknown.add(refused[0])
                del request[refused[0]]

    async def _opened(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._made)
            return self._client

    def _made(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        key = self._settings.api_key
        return AsyncOpenAI(
            api_key=key.get_secret_value() if key else "none",  # servers of one's own often want none
            base_url=self._settings.base_url,
            timeout=self._settings.timeout,
            max_retries=self._settings.retries,
        )

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
