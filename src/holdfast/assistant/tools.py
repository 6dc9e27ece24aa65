"""Tools: a user's Python functions, called with a deadline, their results checked."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from holdfast.assistant.dotted import imported
from holdfast.config import TaskSection
from holdfast.errors import ToolError
from holdfast.turns.turn import Turn

_log: Final = logging.getLogger(__name__)


class Tool:
    """The function of a task.

    Plain functions run in a thread, so that they may block; one that overruns its time is left behind there, and its result is
    dropped. A function with a parameter ``idempotency_key`` gets one that is the same on every attempt of the turn.
    """

    def __init__(self, task: TaskSection) -> None:
        self.name = task.tool.partition(":")[2]
        self._function: Callable[..., Any] = imported(task.tool, f"tasks.{task.name}.tool")
        self._timeout = task.timeout
        self._outcomes = task.replies
        self._parameters = _parameters(self._function)

    async def call(self, turn: Turn, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result, journaled: a mapping whose ``outcome`` is one that the task has a reply for. Raises `ToolError`."""
        accepted = {
            name: value for name, value in arguments.items() if self._parameters is None or name in self._parameters
        }

        async def run(idempotency_key: str) -> dict[str, Any]:
            if self._parameters is None or "idempotency_key" in self._parameters:
                accepted["idempotency_key"] = idempotency_key
            return self._checked(await self._run(turn, accepted))

        result: dict[str, Any] = await turn.step(f"tool:{self.name}", run)
        return result

    async def _run(self, turn: Turn, arguments: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                if inspect.iscoroutinefunction(self._function):
                    return await self._function(**arguments)
                result = await asyncio.to_thread(self._function, **arguments)
                return await result if inspect.isawaitable(result) else result
        except TimeoutError as error:
            raise self._failed(turn, f"gave no answer within {self._timeout:g} s") from error
        except Exception as error:  # the function is not ours: whatever it raises, the conversation goes on
            raise self._failed(turn, f"raised {type(error).__name__}") from error

    def _checked(self, result: Any) -> dict[str, Any]:
        if not isinstance(result, Mapping):
            raise ToolError(
                f"tool {self.name} returned {type(result).__name__}; it has to return a mapping with an outcome"
            )
        if result.get("outcome") not in self._outcomes:
            known = ", ".join(self._outcomes)
            raise ToolError(f"tool {self.name}: the task has no reply for its outcome (it has: {known})")
        return dict(result)

    def _failed(self, turn: Turn, what: str) -> ToolError:
        _log.warning("tool %s %s (session %s, turn %s)", self.name, what, turn.key.id, turn.id)
        return ToolError(f"tool {self.name} {what}")


def _parameters(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names that it takes; None where it takes any."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)
