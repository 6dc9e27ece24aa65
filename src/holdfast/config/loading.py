"""Reads the file, lays the environment over it, and explains what is wrong."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from holdfast.config.fields import PREFIX, nearest
from holdfast.config.problems import Problem
from holdfast.config.sections import StoreWithOptions
from holdfast.config.toml_lines import TomlLines
from holdfast.config.tree import Config
from holdfast.errors import ConfigError

_ROUNDS: Final = 20
"""Of taking unknown keys out, until what is left is looked at as a whole."""


def load_config(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a file; None is the sample that ships with Holdfast.

    ``overrides`` is a tree like the file's, above environment and file. Raises `ConfigError`, naming the file (or the
    variable) and the key.
    """
    file = _file(path)
    try:
        config = Config(**_tree(file, overrides))
    except ValidationError as error:
        told = (_explained(detail) for detail in error.errors())
        raise ConfigError("\n".join(variable or f"{file}: {what}" for variable, _, what in told)) from None
    return _relative(config, file.parent)


def check_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Config | None, list[Problem], TomlLines]:
    """As `load_config`, with all problems by line, and the lines of the rest. Unknown keys are passed over; with any other problem
    there is no config. Raises `ConfigError` for a file that cannot be read at all."""
    file = _file(path)
    tree = _tree(file, overrides)
    lines = TomlLines(str(file), file.read_text(encoding="utf-8"))
    problems: list[Problem] = []
    for _ in range(_ROUNDS):
        try:
            return _relative(Config(**tree), file.parent), sorted(set(problems)), lines
        except ValidationError as error:
            details = error.errors()
        for detail in details:
            variable, place, what = _explained(detail)
            problems.append(Problem("environment", 0, variable) if variable else lines.problem(place, what))
        if any(detail["type"] != "extra_forbidden" for detail in details):
            break
        for detail in details:
            tree = _without(tree, detail["loc"])
    return None, sorted(set(problems)), lines


def _file(path: str | Path | None) -> Path:
    return Path(path) if path is not None else Path(str(resources.files("holdfast.samples") / "holdfast.toml"))


def _tree(file: Path, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    return _merged(_with_model_variables(_merged(_read(file), _environment())), overrides or {})


def _relative(config: Config, folder: Path) -> Config:
    assistant = config.assistant.model_copy(
        update={
            "flows": tuple(folder / path for path in config.assistant.flows),
            "intents": tuple(folder / path for path in config.assistant.intents),
        }
    )
    return config.model_copy(update={"knowledge": config.knowledge.relative_to(folder), "assistant": assistant})


def _without(tree: Any, place: Sequence[Any]) -> Any:
    """The tree without the key that the place leads to; keys that are not there (a union's tags) are passed over."""
    if not place:
        return tree
    key, *rest = place
    if isinstance(tree, Mapping):
        if key not in tree:
            return _without(tree, rest)
        if not rest:
            return {name: value for name, value in tree.items() if name != key}
        return {**tree, key: _without(tree[key], rest)}
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        return [*tree[:key], _without(tree[key], rest), *tree[key + 1 :]]
    return _without(tree, rest)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: cannot be read: it is nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, and Python's own for an integer of thousands of digits
        raise ConfigError(f"{file}: not TOML: {error}") from None


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        if field_name == "store" and not value.lstrip().startswith("{"):
            return {"url": value}
        return super().decode_complex_value(field_name, field, value)


def _environment() -> dict[str, Any]:
    for name in os.environ:
        section, nested, _ = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and nested and section not in Config.model_fields:
            raise ConfigError(f"environment variable {name} names no section{nearest(section, Config.model_fields)}")
    try:
        return _Environment(Config)()
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; write JSON there, or {PREFIX}SECTION__KEY=value") from None


def _with_model_variables(tree: dict[str, Any]) -> dict[str, Any]:
    """The variables that every OpenAI client knows, below anything that was said to Holdfast itself."""
    found = {"base_url": os.environ.get("OPENAI_BASE_URL"), "api_key": os.environ.get("OPENAI_API_KEY")}
    given = {key: value for key, value in found.items() if value}
    return _merged({"model": given}, tree) if given else tree


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if key == "store" and isinstance(value, str):
            value = {"url": value}
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


# --- errors ---


def _explained(detail: Any) -> tuple[str, list[str | int], str]:
    """What is wrong: in which variable of the environment ("" where in none), at which place, and in words."""
    place = [part for part in detail["loc"] if isinstance(part, str | int)]
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    variable = PREFIX + "__".join(str(part) for part in place).upper()
    if detail["type"] == "extra_forbidden":
        what = f" is not a setting{nearest(str(place[-1]), _known(place[:-1]))}"
    else:
        what = f": {detail['msg'].removeprefix('Value error, ')}"
    if variable in os.environ:
        return f"environment variable {variable}{what}", place, ""
    return "", place, f"{key or 'as a whole'}{what}"


def _known(place: list[str | int]) -> list[str]:
    """The keys of the section at this place."""
    model: Any = Config
    for part in place:
        if isinstance(part, str) and part in getattr(model, "model_fields", ()):  # else it is a name that the user gave
            hint = StoreWithOptions if part == "store" else model.model_fields[part].annotation
            model = next((arg for arg in (hint, *get_args(hint)) if hasattr(arg, "model_fields")), hint)
    return list(getattr(model, "model_fields", ()))
