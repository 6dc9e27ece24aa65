"""Tools that are Python functions."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.assistant.contract import ToolSpec
from holdfast.assistant.dotted import imported
from holdfast.assistant.tool_running import run
from holdfast.assistant.tool_schema import KEY, Parameters, parameters_of, spec_of
from holdfast.config import ToolsSection
from holdfast.config.fields import nearest
from holdfast.errors import ConfigError, InvalidInput, ToolError
from holdfast.sessions.codec import Codec, CodecLimits
from holdfast.tools import MARK, ToolMark
from holdfast.turns.turn import Turn

_log: Final = logging.getLogger(__name__)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class _Function:
    """A registered function, with its limits."""

    spec: ToolSpec
    function: Callable[..., Any]
    parameters: Parameters
    timeout: float
    codec: Codec


class FunctionTools:
    """`Tools` (and `ChecksArguments`) over Python functions.

    ``also`` names further functions by dotted path: flows may call them, a model only where ``tools.allow`` names them too.

    Raises `ConfigError` for a function that is not there, that no schema can describe, or two of one name.
    """

    def __init__(self, settings: ToolsSection, *, also: Sequence[str] = ()) -> None:
        self._settings = settings
        self._functions: dict[str, _Function] = {}
        for path in settings.functions:
            for function in _found(path, "tools.functions"):
                self._register(function, f'tools.functions = "{path}"')
        listed = frozenset(self._functions)
        shown = listed if settings.allow is None else frozenset(settings.allow)
        for path in dict.fromkeys(also):
            self._register(imported(path, f'tool = "{path}"'), f'tool = "{path}"')
        self._callable = frozenset(name for name in self._functions if name in shown or name not in listed)
        self._shown = tuple(tool.spec for name, tool in self._functions.items() if name in shown)
        for key in ("allow", "ask", "limits", "titles"):
            for name in getattr(settings, key) or ():
                if name not in self._functions:
                    raise ConfigError(f"tools.{key}: there is no tool {name!r}{nearest(name, self._functions)}")

    def specs(self) -> Sequence[ToolSpec]:
        """See `Tools.specs`."""
        return self._shown

    def check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """See `ChecksArguments.check`."""
        self._allowed(name).parameters.checked(name, arguments)

    async def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], *, step: str) -> Any:
        """See `Tools.call`."""
        tool = self._allowed(name)
        given = tool.parameters.checked(name, arguments)

        async def called(idempotency_key: str) -> dict[str, Any]:
            if tool.parameters.takes_key:
                given[KEY] = idempotency_key
            try:
                return {"result": await self._result(tool, given)}
            except ToolError as error:
                _log.warning("%s (session %s, turn %s)", error, turn.key.id, turn.id)
                return {"error": str(error), "reason": error.reason}

        record = await turn.step(step, called)
        if "error" in record:
            raise ToolError(record["error"], record["reason"])
        return record["result"]

    async def _result(self, tool: _Function, arguments: Mapping[str, Any]) -> Any:
        name = tool.spec.name
        try:
            result = await run(tool.function, arguments, tool.timeout)
        except TimeoutError as error:
            raise ToolError(f"tool {name} gave no answer within {tool.timeout:g} s", "timeout") from error
        except ToolError as error:
            raise ToolError(f"tool {name}: {error}", error.reason or "raised") from error
        except Exception as error:  # the function is not ours: whatever it raises, the conversation goes on
            raise ToolError(f"tool {name} raised {type(error).__name__}", "raised") from error
        try:
            tool.codec.encode(result, f"the result of tool {name}")
        except InvalidInput as error:
            raise ToolError(str(error), "result") from error
        return result

    def _allowed(self, name: str) -> _Function:
        if name not in self._callable:
            what = "is not allowed" if name in self._functions else "does not exist"
            raise ToolError(f"tool {str(name)[:64]!r} {what}", "not_allowed")
        return self._functions[name]

    def _register(self, function: Callable[..., Any], key: str) -> None:
        settings = self._settings
        mark = getattr(function, MARK, None) or ToolMark()
        name = mark.name or str(getattr(function, "__name__", type(function).__name__))
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{key}: {name!r} is no name for a tool: letters, digits, _ and -, at most 64")
        if name in self._functions:
            if self._functions[name].function is function:
                return
            raise ConfigError(
                f"{key}: there is a tool named {name!r} already; give one of them a name with @tool(name=...)"
            )
        limits = settings.limits.get(name)
        timeout = (limits and limits.timeout) or mark.timeout or settings.timeout
        size = (limits and limits.max_result_bytes) or mark.max_result_bytes or settings.max_result_bytes
        parameters = parameters_of(function, key)
        spec = spec_of(function, name, parameters, mark.asks or name in settings.ask)
        self._functions[name] = _Function(spec, function, parameters, timeout, Codec(CodecLimits(value_bytes=size)))


def _found(path: str, key: str) -> Iterator[Callable[..., Any]]:
    if ":" in path:
        yield imported(path, key)
        return
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ConfigError(f'{key} = "{path}" cannot be imported: {error}') from error
    marked = [one for name, one in vars(module).items() if not name.startswith("_") and hasattr(one, MARK)]
    if not marked:
        raise ConfigError(f'{key} = "{path}": the module has no function that is marked with @tool of holdfast.tools')
    yield from marked
