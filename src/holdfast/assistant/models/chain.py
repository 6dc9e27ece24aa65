"""Several endpoints as one model: the next is asked where one fails before its first words."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Chunk, Model, Prompt, ToolSpec
from holdfast.assistant.models.checking import checked
from holdfast.errors import ModelError

_log: Final = logging.getLogger(__name__)


class ModelChain:
    """`Model` over models, asked in order. One that failed is left aside for ``cooldown`` seconds, so that a dead one costs its
    time-out once, not in every turn; where all are left aside, the one that has been so for longest is tried."""

    def __init__(
        self,
        models: Sequence[Model],
        *,
        cooldown: float,
        max_chars: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = models[0].name
        self._models = tuple(models)
        self._cooldown = cooldown
        self._max_chars = max_chars
        self._clock = clock
        self._aside: dict[int, float] = {}

    async def open(self) -> None:
        """Opens those that can be opened beforehand."""
        for model in self._models:
            await opened(model)

    async def stream(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Model.stream`. The first chunk's ``model`` says which one answers. Raises the last one's error."""
        last: ModelError | None = None
        for place in self._order():
            model = self._models[place]
            begun = False
            try:
                stream = checked(model.stream(prompts, tools=tools, schema=schema), self._max_chars)
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        if not begun:
                            chunk = msgspec.structs.replace(chunk, model=chunk.model or model.name)
                            begun = True
                        yield chunk
                self._aside.pop(place, None)
                return
            except ModelError as error:
                if not error.request:
                    self._aside[place] = self._clock() + self._cooldown
                if begun:
                    raise
                last = error
                _log.warning("model %s (%d of %d) failed: %s", model.name, place + 1, len(self._models), error)
        assert last is not None
        raise last

    def _order(self) -> list[int]:
        now = self._clock()
        well = [place for place in range(len(self._models)) if self._aside.get(place, 0.0) <= now]
        return well or [min(self._aside, key=lambda place: self._aside[place])]

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        for model in self._models:
            await model.aclose()


async def opened(model: Model) -> None:
    """Has a model ready, where there is something that it can do before it is asked."""
    if callable(open_ := getattr(model, "open", None)):
        await open_()
