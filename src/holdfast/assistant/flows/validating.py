"""YAML into models, with the line of whatever does not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.assistant.flows.yaml_source import Problems, Source

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], source: Source, tags: Collection[str] = ()) -> M:
    """The file's content as a model; an empty file is an empty mapping. Raises `Problems`.

    ``tags``: names of a union's members, which pydantic puts into the place of an error although no file has them.
    """
    try:
        return model.model_validate(source.value if source.value is not None else {})
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False, include_input=False):
            place = [key for key in detail["loc"] if key not in tags or _is_there(source, detail["loc"], key)]
            what = detail["msg"].removeprefix("Value error, ")
            key = str(place[-1]) if place else "the file"
            if detail["type"] == "extra_forbidden":
                what = f"{key!r} means nothing here"
            elif detail["type"] == "missing":
                what = f"{key!r} is missing"
            else:
                what = f"{key}: {what}"
            problems.append(source.problem(place, what))
        raise Problems(problems) from None


def _is_there(source: Source, place: Sequence[Any], key: Any) -> bool:
    """Whether a key of an error's place is one of the file's, and not a tag that pydantic put there."""
    value: Any = source.value
    for one in place:
        if one == key and isinstance(value, Mapping) and one in value:
            return True
        if (isinstance(value, Mapping) and one in value) or (
            isinstance(value, list) and isinstance(one, int) and one < len(value)
        ):
            value = value[one]
    return False
