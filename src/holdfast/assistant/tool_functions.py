"""Tools that are Python functions."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.assistant.contract import ToolSpec
from holdfast.assistant.dotted import imported, unseen
from holdfast.assistant.tool_running import run
from holdfast.assistant.tool_schema import KEY, Parameters, description_of, parameters_of
from holdfast.config import ToolLimitSection, ToolsSection
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
    allowed: bool


class FunctionTools:
    """`Tools` (and `ChecksArguments`) over Python functions.

    ``also`` are further functions, by dotted path with their time-outs (None: as the settings say). Flows name them; a model may
    call them only where ``tools.allow`` has their names too.

    Raises `ConfigError` for a function that is not there, that no schema can describe, or two of one name.
    """

    def __init__(self, settings: ToolsSection, *, also: Mapping[str, float | None] | None = None) -> None:
        self._settings = settings
        self._functions: dict[str, _Function] = {}
        for path in settings.functions:
            for name, function in _found(path, "tools.functions"):
                self._register(name, function, f'tools.functions = "{path}"')
        for path, timeout in (also or {}).items():
            key = f'tool = "{path}"'
            self._register(path.partition(":")[2], imported(path, key), key, timeout, flows_only=True)
        for key in ("allow", "ask", "limits", "titles"):
            for name in getattr(settings, key) or ():
                if name not in self._functions:
                    raise ConfigError(f"tools.{key}: there is no tool {name!r}{nearest(name, self._functions)}")

    def specs(self) -> Sequence[ToolSpec]:
        """See `Tools.specs`."""
        return [tool.spec for tool in self._functions.values() if tool.allowed]

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
                # without its text, which may name what the tool was given: whoever called it knows how to mask that
                _log.warning("tool %s failed (%s): session %s, turn %s", name, error.reason, turn.key.id, turn.id)
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
        tool = self._functions.get(name)
        if tool is None or not tool.allowed:
            what = "does not exist" if tool is None else "is not allowed"
            raise ToolError(f"tool {str(name)[:64]!r} {what}", "not_allowed")
        return tool

    def _register(
        self,
        name: str,
        function: Callable[..., Any],
        key: str,
        timeout: float | None = None,
        *,
        flows_only: bool = False,
    ) -> None:
        settings = self._settings
        mark = getattr(function, MARK, None) or ToolMark()
        name = mark.name or name
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{key}: {name!r} is no name for a tool: letters, digits, _ and -, at most 64")
        if name in self._functions:
            if self._functions[name].function is function:
                return
            raise ConfigError(
                f"{key}: there is a tool named {name!r} already; give one of them a name with @tool(name=...)"
            )
        limits = settings.limits.get(name) or ToolLimitSection()
        parameters = parameters_of(function, key)
        listed = settings.allow is None or name in settings.allow
        self._functions[name] = _Function(
            ToolSpec(
                name,
                description_of(function),
                parameters.schema,
                asks=mark.asks or name in settings.ask,
                flows_only=flows_only and not (settings.allow and name in settings.allow),
                sees=mark.sees,
            ),
            function,
            parameters,
            limits.timeout or timeout or mark.timeout or settings.timeout,
            Codec(
                CodecLimits(value_bytes=limits.max_result_bytes or mark.max_result_bytes or settings.max_result_bytes)
            ),
            allowed=listed or flows_only,
        )


def _found(path: str, key: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions that a path names, by name."""
    if ":" in path:
        yield path.rpartition(":")[2].rpartition(".")[2], imported(path, key)
        return
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ConfigError(f'{key} = "{path}" cannot be imported: {error}{unseen(path, error)}') from error
    marked = [(name, one) for name, one in vars(module).items() if not name.startswith("_") and hasattr(one, MARK)]
    if not marked:
        raise ConfigError(f'{key} = "{path}": the module has no function that is marked with @tool of holdfast.tools')
    yield from marked
