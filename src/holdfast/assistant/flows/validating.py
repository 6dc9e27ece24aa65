"""YAML into models, with the line of whatever does not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.assistant.flows.yaml_source import Place, Problems, Source

M = TypeVar("M", bound=BaseModel)

_FOLLOWS: Final = "follows"
_NAME: Final = "^[a-z][a-z0-9_]{0,63}$"
_WORDS: Final[Mapping[str, str]] = {
    "string_type": "has to be text",
    "model_type": "has to be a mapping",
    "dict_type": "has to be a mapping",
    "tuple_type": "has to be a list",
    "list_type": "has to be a list",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
}


def validated(model: type[M], source: Source, tags: Collection[str] = ()) -> M:
    """The file's content as a model; an empty file is an empty mapping. Raises `Problems`.

    ``tags``: names of a union's members, which pydantic puts into the place of an error, behind a list's position, although no
    file has them.
    """
    try:
        return model.model_validate(source.value if source.value is not None else {})
    except ValidationError as error:
        found = [_wrong(source, detail, tags) for detail in error.errors(include_url=False, include_input=False)]
        problems = {source.problem((*one.place, *one.missing), one.message): None for one in _without_noise(found)}
        raise Problems(sorted(problems)) from None


@dataclass(frozen=True)
class _Wrong:
    """An error of pydantic's. ``place``: keys that the file has. ``missing``: one that it has not. ``value``: what is there."""

    place: Place
    missing: Place
    kind: str
    value: Any
    message: str


def _wrong(source: Source, detail: Any, tags: Collection[str]) -> _Wrong:
    place, value, tag = _place(source.value, detail["loc"], tags)
    kind = detail["type"]
    if kind == "missing":
        name = detail["loc"][-1]
        return _Wrong(place, (name,), kind, value, f"{name!r} is missing")
    key = place[-1] if place else "the file"
    if kind == "extra_forbidden":
        also = tag and key in tags
        what = f"one step cannot be `{tag}` and `{key}`: make it two" if also else f"{key!r} means nothing here"
        return _Wrong(place, (), kind, value, what)
    what = _WORDS.get(kind) or detail["msg"].removeprefix("Value error, ").replace("Input should be", "has to be")
    if kind == "string_pattern_mismatch" and detail["ctx"]["pattern"] == _NAME:
        what = "is no name: a lower-case letter, then lower-case letters, digits and _, 64 at most"
    elif kind == "too_short":
        if len(value) >= detail["ctx"]["min_length"]:  # what is wrong with its items is told already
            kind = _FOLLOWS
        what = f"needs at least {detail['ctx']['min_length']}"
    return _Wrong(place, (), kind, value, what if isinstance(key, int) else f"{key}: {what}")


def _place(value: Any, loc: Sequence[Any], tags: Collection[str]) -> tuple[Place, Any, str]:
    """The part of an error's place that the file has, what is there, and the tag of the last union on the way."""
    place: Place = ()
    tag = ""
    behind_position = False
    for key in loc:
        if behind_position and key in tags:
            tag, behind_position = key, False
        elif isinstance(value, Mapping) and key in value:
            place, value = (*place, key), value[key]
            behind_position = False
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            place, value = (*place, key), value[key]
            behind_position = True
    return place, value, tag


def _without_noise(found: Sequence[_Wrong]) -> Iterator[_Wrong]:
    """Of a union's members each says why it is not the one: only what the one says that was meant, and of the rest the first."""
    told: set[Place] = set()
    for one in found:
        if isinstance(one.value, Mapping) and one.kind in ("string_type", "literal_error"):
            meant = any(other is not one and other.place[: len(one.place)] == one.place for other in found)
        elif isinstance(one.value, str) and one.kind in ("model_type", "dict_type"):
            meant = any(other is not one and other.place == one.place for other in found)
        else:
            meant = False
        if meant or one.kind == _FOLLOWS or (not one.missing and one.place in told):
            continue
        if not one.missing:
            told.add(one.place)
        yield one
