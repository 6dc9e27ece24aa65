"""A language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import msgspec

from holdfast.assistant.contract import Chunk, Prompt, ToolSpec
from holdfast.config import ModelSection
from holdfast.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam


class OpenAIModel:
    """`Model` over the ``openai`` SDK, which is imported when the first answer is asked for.

    Raises `MissingExtra` where it is made without the SDK being installed.
    """

    def __init__(self, settings: ModelSection) -> None:
        self.name = settings.name
        self._settings = settings
        self._client: AsyncOpenAI | None = None

    async def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`. Its reason is ``timeout`` too where nothing comes for ``idle`` seconds."""
        if self._client is None:
            await asyncio.to_thread(
                importlib.import_module, "openai"
            )  # a second of work, that no turn should stand still for
        async with aclosing(self._events(prompts)) as events:
            while True:
                try:
                    async with asyncio.timeout(self._settings.idle):
                        event = await anext(events, None)
                except TimeoutError:
                    raise ModelError(f"the model was silent for {self._settings.idle:g} s", "timeout") from None
                if event is None:
                    return
                yield event

    async def _events(self, prompts: Sequence[Prompt]) -> AsyncGenerator[Chunk, None]:
        import openai

        try:
            answer = await self._opened().chat.completions.create(
                model=self.name,
                messages=cast("list[ChatCompletionMessageParam]", msgspec.to_builtins(prompts)),
                max_tokens=self._settings.max_tokens,
                temperature=openai.omit if self._settings.temperature is None else self._settings.temperature,
                stream=True,
            )
            async with answer:
                async for part in answer:
                    yield _chunk(part)
        except openai.APITimeoutError as error:
            raise ModelError("the model gave no answer in time", "timeout") from error
        except openai.APIConnectionError as error:
            raise ModelError("the model cannot be reached", "unreachable") from error
        except openai.APIStatusError as error:
            raise ModelError(f"the model's server answered {error.status_code}", "refused") from error
        except ModelError:
            raise
        except openai.APIError as error:  # an error event inside the stream
            raise ModelError("the model's server broke off with an error", "refused") from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # the SDK does not check what it is sent
            raise ModelError(f"the model's answer cannot be read: {type(error).__name__}", "garbled") from error
        except Exception as error:  # its HTTP client's errors pass through the SDK while a stream is read
            raise ModelError(f"the connection to the model broke: {type(error).__name__}", "unreachable") from error

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            key = self._settings.api_key
            self._client = AsyncOpenAI(
                api_key=key.get_secret_value() if key else "none",  # servers of one's own often want none
                base_url=self._settings.base_url,
                timeout=self._settings.timeout,
                max_retries=self._settings.retries,
            )
        return self._client

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def open_model(settings: ModelSection) -> OpenAIModel | None:
    """The configured model; None where there is none. Raises `MissingExtra` where its SDK is not installed."""
    from importlib.util import find_spec

    if not settings.configured:
        return None
    if find_spec("openai") is None:
        raise MissingExtra('a language model needs the openai package: pip install "holdfast[model]"')
    return OpenAIModel(settings)


def _chunk(part: Any) -> Chunk:
    """One event, of which nothing is certain: the SDK builds it from whatever was sent."""
    usage = getattr(part, "usage", None)
    counts = {name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens") if usage is not None}
    choices = getattr(part, "choices", None)
    if not choices:
        if choices is None and usage is None:
            raise ModelError("the model's server sent an event that is no part of an answer", "garbled")
        return Chunk(usage=counts or None)
    choice = choices[0]
    text = getattr(getattr(choice, "delta", None), "content", None) or ""
    finish = getattr(choice, "finish_reason", None) or ""
    if not hasattr(choice, "delta") or not isinstance(text, str) or not isinstance(finish, str):
        raise ModelError("the model's server sent an event that is no part of an answer", "garbled")
    if finish == "content_filter":
        raise ModelError("the model's server withheld the answer", "refused")
    return Chunk(text, finish, counts or None)
