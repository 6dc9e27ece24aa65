"""Objects by dotted path: ``package.module:name``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from holdfast.errors import ConfigError


def unseen(module_name: str, error: ImportError) -> str:
    """What to do where it is the named module itself that Python does not find, not one that it imports."""
    found = isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]
    return " (install it, or put the folder that it is in on PYTHONPATH)" if found else ""


def imported(path: str, key: str) -> Callable[..., Any]:
    """The function or class at the path. Raises `ConfigError`, naming the config's ``key``."""
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise ConfigError(f'{key} = "{path}" is not of the form package.module:name')
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f'{key} = "{path}" cannot be imported: {error}{unseen(module_name, error)}') from error
    except (Exception, SystemExit) as error:  # the module is a user's own: whatever it raises is told by its name
        raise ConfigError(f'{key} = "{path}" cannot be imported: {type(error).__name__}: {error}') from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f'{key} = "{path}": module {module_name} has no function or class {name!r}')
    return found  # type: ignore[no-any-return]  # checked: it is callable
