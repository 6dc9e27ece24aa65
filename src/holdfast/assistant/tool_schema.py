"""A function's arguments: described for a model, from its type hints and docstring, and checked before a call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import msgspec

from holdfast.errors import ConfigError, ToolError

KEY: Final = "idempotency_key"
"""A parameter of this name is filled by Holdfast; no model and no flow sees it."""

_SECTION: Final = re.compile(
    r"^(args|arguments|parameters|returns?|raises|yields|examples?|notes?)\s*:\s*$", re.IGNORECASE
)
_ARGUMENT: Final = re.compile(r"^(\w+)(?:\s*\([^)]*\))?\s*:\s*(.*)$")
_NAMED: Final = 3
"""Unknown arguments that an error names."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of a function that may be given.

    Attributes:
        types: by name. required: those without a default. takes_key: whether it wants an idempotency key.
        schema: JSON Schema of all of them.
    """

    types: Mapping[str, Any]
    required: frozenset[str]
    takes_key: bool
    schema: Mapping[str, Any]

    def checked(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, each converted to its type. Raises `ToolError` that names what is wrong, without any value."""
        unknown = [name for name in arguments if name not in self.types]
        missing = [name for name in self.types if name in self.required and name not in arguments]
        problems = [f"there is no argument {str(name)[:40]!r}" for name in unknown[:_NAMED]]
        problems += [f"argument {name!r} is missing" for name in missing]
        converted: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in self.types:
                try:
                    converted[name] = _converted(value, self.types[name])
                except msgspec.ValidationError as error:
                    problems.append(f"argument {name!r}: {self._why(name, error)}")
        if problems:
            raise ToolError(f"tool {tool}: {'; '.join(problems)}", "arguments")
        return converted

    def _why(self, name: str, error: msgspec.ValidationError) -> str:
        """The error in words that hold no value: it may be sensitive."""
        text, at, place = str(error).partition(" - at `$")
        where = f" (at {name}{place.rstrip('`')})" if at else ""
        if error.__cause__ is not None:  # a type of the user's own has refused it, in words of its own
            return f"is not valid{where}"
        if "'" in text:
            allowed = _allowed(self.schema, self.schema["properties"][name]) if not at else ()
            text = f"is none of {', '.join(map(str, allowed))}" if allowed else "is none of the allowed values"
        return f"{text}{where}"


def parameters_of(function: Callable[..., Any], key: str) -> Parameters:
    """Raises `ConfigError`, naming the config's ``key``, for a type that no model could be told of."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(
            function if inspect.isroutine(function) else type(function).__call__, include_extras=True
        )
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{key}: the type hints of {_name(function)} cannot be read: {error}") from error
    types: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigError(
                f"{key}: {_name(function)} takes {name!r} by position only; a tool's arguments have names"
            )
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name == KEY:
            continue
        types[name] = hints.get(name, Any)
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
    required = frozenset(types) - frozenset(defaults)
    schema = _schema(types, defaults, arguments_described(function), key, _name(function))
    return Parameters(types, required, KEY in signature.parameters, schema)


def description_of(function: Callable[..., Any]) -> str:
    """The first paragraph of the docstring."""
    first, _, _ = (inspect.getdoc(function) or "").partition("\n\n")
    return " ".join(first.split())


def arguments_described(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each argument, under ``Args:``."""
    found: dict[str, list[str]] = {}
    inside, indent, current = False, -1, ""
    for line in (inspect.getdoc(function) or "").splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if depth == 0 and (section := _SECTION.match(text)):
            inside, indent, current = section[1].lower() in ("args", "arguments", "parameters"), -1, ""
        elif inside and text:
            if depth == 0:
                inside = False
                continue
            indent = depth if indent < 0 else indent
            if depth <= indent and (match := _ARGUMENT.match(text)):
                current = match[1]
                found[current] = [match[2]]
            elif current:
                found[current].append(text)
    return {name: " ".join(part for part in parts if part) for name, parts in found.items()}


def _schema(
    types: Mapping[str, Any], defaults: Mapping[str, Any], described: Mapping[str, str], key: str, function: str
) -> dict[str, Any]:
    try:
        schemas, definitions = msgspec.json.schema_components(list(types.values()), ref_template="#/$defs/{name}")
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {function} takes a type that no schema can say: {error}") from error
    properties: dict[str, Any] = {}
    for name, schema in zip(types, schemas, strict=True):
        properties[name] = dict(schema)
        if name in described:
            properties[name]["description"] = described[name]
        if name in defaults and type(defaults[name]) in (str, int, float, bool):
            properties[name]["default"] = defaults[name]
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": [name for name in types if name not in defaults],
        "additionalProperties": False,
    }
    return {**whole, "$defs": definitions} if definitions else whole


def _converted(value: Any, type_: Any) -> Any:
    """As it is meant: models write numbers as text now and then."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        try:
            return msgspec.convert(value, type_, strict=False)
        except msgspec.ValidationError:
            raise error from error.__cause__


def _allowed(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Any, ...]:
    if (reference := schema.get("$ref")) is not None:
        schema = whole.get("$defs", {}).get(reference.rpartition("/")[2], {})
    if "enum" in schema:
        return tuple(schema["enum"])
    return tuple(value for one in schema.get("anyOf", ()) for value in _allowed(whole, one))


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
