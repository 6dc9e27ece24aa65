"""Reads the file, lays the environment over it, and explains what is wrong."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from holdfast.config.fields import PREFIX, nearest
from holdfast.config.sections import StoreWithOptions
from holdfast.config.tree import Config
from holdfast.errors import ConfigError


def load_config(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a file; None is the sample that ships with Holdfast.

    ``overrides`` is a tree like the file's, above environment and file. Raises `ConfigError`, naming the file (or the
    variable) and the key.
    """
    file = Path(path) if path is not None else Path(str(resources.files("holdfast.samples") / "holdfast.toml"))
    tree = _with_model_variables(_merged(_read(file), _environment()))
    tree = _merged(tree, overrides or {})
    try:
        config = Config(**tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(file, detail) for detail in error.errors())) from None
    assistant = config.assistant.model_copy(
        update={
            "flows": tuple(file.parent / path for path in config.assistant.flows),
            "intents": tuple(file.parent / path for path in config.assistant.intents),
        }
    )
    knowledge = config.knowledge.relative_to(file.parent)
    return config.model_copy(update={"knowledge": knowledge, "assistant": assistant})


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
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


def _explained(file: Path, detail: Any) -> str:
    place = [part for part in detail["loc"] if isinstance(part, str | int)]
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    variable = PREFIX + "__".join(str(part) for part in place).upper()
    source = f"environment variable {variable}" if variable in os.environ else f"{file}: {key or 'as a whole'}"
    if detail["type"] == "extra_forbidden":
        return f"{source} is not a setting{nearest(str(place[-1]), _known(place[:-1]))}"
    return f"{source}: {detail['msg'].removeprefix('Value error, ')}"


def _known(place: list[str | int]) -> list[str]:
    """The keys of the section at this place."""
    model: Any = Config
    for part in place:
        if isinstance(part, str) and part in getattr(model, "model_fields", ()):  # else it is a name that the user gave
            hint = StoreWithOptions if part == "store" else model.model_fields[part].annotation
            model = next((arg for arg in (hint, *get_args(hint)) if hasattr(arg, "model_fields")), hint)
    return list(getattr(model, "model_fields", ()))
