"""A user's own three-method store: found by ``module:Class``, tried out, its weaker promises named."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import sys
import time
from typing import Any, Final, Literal

from holdfast.backends.records import Finding
from holdfast.errors import ConfigError
from holdfast.sync import SessionStore, promises

_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SCHEMES: Final = frozenset({"memory", "sqlite", "redis", "rediss", "postgresql"})
_VERBS: Final = ("get", "set", "delete")
_TRIAL: Final[dict[str, Any]] = {"text": "trial 试", "number": 1, "list": [1, {"deep": None}]}
_TTL_S: Final = 1


def names_class(target: str) -> bool:
    """Is this ``module:Class``, not a URL?"""
    return _DOTTED.fullmatch(target) is not None and target.partition(":")[0] not in _SCHEMES


def check_class(target: str) -> list[Finding]:
    """Its weaker promises, and what a trial showed. Raises `ConfigError` where it cannot be found or made.

    What the class prints goes to stderr.
    """
    with contextlib.redirect_stdout(sys.stderr):
        store = _made(target)
        try:
            return [*_named(store), *_tried(store)]
        finally:
            if callable(close := getattr(store, "close", None)):
                close()


def _named(store: Any) -> list[Finding]:
    if isinstance(store, SessionStore):
        return promises(store)
    return [
        *promises(type(store)),
        Finding(
            "note", "type", "it has the three methods, but is no subclass", "class Mine(holdfast.sync.SessionStore)"
        ),
    ]


def _made(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 -- sys.path holds text
        sys.path.insert(0, here)  # as python -m and gunicorn do
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"{target}: {error}; give the path from the working directory, like package.module:Class"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigError(f"{target}: {getattr(found, '__name__', 'the object')} has no {name!r}")
        found = getattr(found, name)
    if isinstance(found, type) or (callable(found) and not hasattr(found, "get")):
        try:
            found = found()
        except TypeError as error:
            raise ConfigError(
                f"{target} cannot be made without arguments ({error}); name a function that makes it, or an object: module:store"
            ) from error
    missing = [verb for verb in _VERBS if not callable(getattr(found, verb, None))]
    if missing:
        raise ConfigError(f"{target} has no method {' and no '.join(missing)}; a store has get, set and delete")
    if waits := [verb for verb in _VERBS if inspect.iscoroutinefunction(getattr(found, verb))]:
        raise ConfigError(
            f"{target}: {', '.join(waits)} is async; the three methods of a blocking store are plain functions"
        )
    return found


def _tried(store: Any) -> list[Finding]:
    """What a trial session showed. An exception of the class is a finding, not the end."""
    session_id = f"holdfast-check-{os.urandom(8).hex()}"
    try:
        return [
            _finding("missing", store.get(session_id) == {}, "get of a session that is not there is {}", "return {}"),
            _written(store, session_id),
            _apart(store, session_id),
            _deleted(store, session_id),
            _expired(store, session_id),
        ]
    except Exception as error:  # noqa: BLE001 -- anything may come out of a class that is being tried
        return [
            Finding("bad", "trial", f"it raised {type(error).__name__}: {error}", "the three methods must not raise")
        ]
    finally:
        with contextlib.suppress(Exception):
            store.delete(session_id)


def _finding(subject: str, good: bool, rule: str, mend: str) -> Finding:
    level: Literal["ok", "bad"] = "ok" if good else "bad"
    return Finding(level, subject, rule if good else f"not so: {rule}", "" if good else mend)


def _written(store: Any, session_id: str) -> Finding:
    store.set(session_id, {"old": 1})
    store.set(session_id, dict(_TRIAL))
    same = store.get(session_id) == _TRIAL
    return _finding(
        "set and get", same, "get gives back exactly what was last set", "store all of it, replace the former"
    )


def _apart(store: Any, session_id: str) -> Finding:
    store.get(session_id)["number"] = 99
    good = store.get(session_id) == _TRIAL
    return _finding("copies", good, "changing what get returned changes nothing stored", "return a deep copy from get")


def _deleted(store: Any, session_id: str) -> Finding:
    store.delete(session_id)
    gone = store.get(session_id) == {}
    store.delete(session_id)
    return _finding(
        "delete", gone, "delete ends the session, and may be repeated", "remove the key, ignore a missing one"
    )


def _expired(store: Any, session_id: str) -> Finding:
    store.set(session_id, dict(_TRIAL), ttl=_TTL_S)
    alive = store.get(session_id) == _TRIAL
    time.sleep(_TTL_S + 0.3)
    good = alive and store.get(session_id) == {}
    return _finding(
        "ttl", good, f"a session set with ttl={_TTL_S} is there, and is gone after a second", "honour ttl, in seconds"
    )
