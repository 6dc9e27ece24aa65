"""A language model that is none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from holdfast.assistant.contract import Chunk, Prompt, ToolSpec
from holdfast.assistant.parts import Parts


class Echo:
    """Says the last words again: to try an assistant out without a model."""

    name = "example-echo"

    def __init__(self, parts: Parts) -> None:
        self._most = parts.config.model.max_tokens  # the settings of [model] are a model's to keep

    async def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`. A real one raises `ModelError`, and nothing else, where its endpoint fails."""
        said = next((prompt.content for prompt in reversed(prompts) if prompt.role == "user"), "")
        words = said.split()
        for word in words[: self._most]:
            yield Chunk(f"{word} ")
        usage = {"prompt_tokens": len(words), "completion_tokens": min(len(words), self._most)}
        yield Chunk(finish="stop" if len(words) <= self._most else "length", usage=usage)

    async def aclose(self) -> None:
        """Nothing was opened."""
