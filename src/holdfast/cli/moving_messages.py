"""Another application's value becomes state and messages. Plain functions, no I/O; nothing is left out in silence."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from holdfast import Message, ToolCall
from holdfast.cli.moving_json import fields_of, kind_of, no_constant, parsed
from holdfast.cli.moving_mapping import Identity, Mapping, Unusable
from holdfast.cli.moving_presets import ITEMS
from holdfast.errors import InvalidInput
from holdfast.sessions.ids import checked_name

_LISTS: Final = ("messages", "history", "chat_history")
_MILLISECONDS_FROM: Final = 1e11
"""A time above this counts milliseconds: as seconds it would be the year 5138."""


class Moved(msgspec.Struct):
    """What is to be in the session."""

    identity: Identity
    user: str
    state: dict[str, Any]
    messages: list[Message]


def moved(
    mapping: Mapping, identity: Identity, value: bytes | list[bytes] | dict[bytes, bytes], companion: Any
) -> Moved:
    """The session behind a value: a string, a list of messages (with its ``companion`` hash), or a hash of fields.

    Raises `Unusable`.
    """
    if isinstance(value, list):
        items = [parsed(mapping, item, f"element {number}: ") for number, item in enumerate(value)]
        whole: Any = fields_of(mapping, companion) if companion else {}
    elif isinstance(value, dict):
        whole = fields_of(mapping, value)
        items = _taken_list(mapping, whole)
    else:
        whole = parsed(mapping, value)
        if not isinstance(whole, dict | list):
            raise Unusable(
                "not_a_session", f"the value is {kind_of(whole)}; a session is an object or a list of messages"
            )
        items = _taken_list(mapping, whole)
        whole = whole if isinstance(whole, dict) else {}
    if mapping.settings.messages.newest_first:
        items.reverse()
    messages = [_message(mapping, number, item) for number, item in enumerate(items)]
    return Moved(identity, _user(mapping, identity, whole), _state(mapping, whole), messages)


# --- the parts of a session ------------------------------------------------------------------------------------------


def _taken_list(mapping: Mapping, whole: Any) -> list[Any]:
    """The list of messages, taken out of the value."""
    at = mapping.settings.messages.at
    if isinstance(whole, list):
        if at:
            raise Unusable("not_a_session", f'the value is a list, and has no {at!r}; messages.at = "" takes the list')
        return whole
    if at == "":
        raise Unusable("not_a_session", 'the value is an object, but messages.at = "" says that it is a list')
    if at is None:
        at = next((name for name in _LISTS if isinstance(whole.get(name), list)), None)
    found = None if at is None else take(whole, at)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unusable("not_a_session", f"{at!r} is {kind_of(found)}, not a list of messages")
    return found


def take(tree: dict[str, Any], path: str) -> Any:
    """Takes the value at a dotted path out of the tree, and what is empty then; None where there is none."""
    first, _, rest = path.partition(".")
    if path in tree or not rest:
        return tree.pop(path, None)
    inner = tree.get(first)
    if not isinstance(inner, dict):
        return None
    found = take(inner, rest)
    if not inner:
        del tree[first]
    return found


def look(tree: Any, path: str) -> Any:
    """The value at a dotted path, which stays; None where there is none."""
    for part in path.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree


def _user(mapping: Mapping, identity: Identity, whole: dict[str, Any]) -> str:
    found = look(whole, mapping.settings.user) if mapping.settings.user else None
    if found is None:
        return identity.user
    try:
        return checked_name("user", str(found) if type(found) is int else found)
    except InvalidInput as error:
        raise Unusable("bad_id", f"{mapping.settings.user}: {error}") from None


def _state(mapping: Mapping, whole: dict[str, Any]) -> dict[str, Any]:
    wanted = mapping.settings.state
    state: dict[str, Any] = {}
    for name, value in whole.items():
        if name in wanted.exclude or (wanted.include is not None and name not in wanted.include):
            continue
        name = wanted.rename.get(name, name)
        if name in state:
            raise Unusable("bad_state", f"two keys become the state key {name!r}; look at state.rename")
        if name.startswith("holdfast:"):
            raise Unusable("bad_state", f"the state key {name!r} is Holdfast's own; state.rename gives it another name")
        state[name] = value
    return state


# --- one message -----------------------------------------------------------------------------------------------------


def _message(mapping: Mapping, number: int, item: Any) -> Message:
    where = f"message {number}"
    if not isinstance(item, dict):
        raise Unusable("bad_message", f"{where} is {kind_of(item)}, not an object")
    item = ITEMS[mapping.form](dict(item))
    named = _first(item, mapping.role)
    role = mapping.roles.get(named) if isinstance(named, str) else None
    if role is None:
        what = f"the role {named!r:.60}" if named is not None else f"no role ({', '.join(mapping.role)})"
        raise Unusable("unknown_role", f"{where} has {what}; name it in [roles], or its field in messages.role")
    calls = _tool_calls(item)
    has_content = any(_has(item, path) for path in mapping.content)
    content = _first(item, mapping.content)
    if not has_content and not calls:
        raise Unusable(
            "bad_message", f"{where} has no content ({', '.join(mapping.content)}); name it in messages.content"
        )
    text, others = _text(content, where)
    if others:
        item["content"] = others
    created = _time(item, mapping.time)
    call_id = item.pop("tool_call_id", None) if isinstance(item.get("tool_call_id"), str) else ""
    extras = {name: value for name, value in item.items() if value is not None and value != {} and value != []}
    return Message(role, text, "", created, calls, call_id or "", (), extras)


def _has(item: dict[str, Any], path: str) -> bool:
    above, _, last = path.rpartition(".")
    inner = look(item, above) if above else item
    return path in item or (isinstance(inner, dict) and last in inner)


def _first(item: dict[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if (found := take(item, name)) is not None:
            return found
    return None


def _text(content: Any, where: str) -> tuple[str, list[Any]]:
    """The text of a content; and the content itself, for the metadata, where it is more than text."""
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        raise Unusable("bad_message", f"the content of {where} is {kind_of(content)}, not text")
    texts = [
        part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None for part in content
    ]
    plain = all(
        isinstance(part, str) or (isinstance(text, str) and not _more(part))
        for part, text in zip(content, texts, strict=True)
    )
    return "".join(text for text in texts if isinstance(text, str)), [] if plain else content


def _more(part: dict[str, Any]) -> bool:
    """Does a part of a content hold anything beside its text?"""
    return any(value for name, value in part.items() if name not in ("text", "type", "block_type"))


def _tool_calls(item: dict[str, Any]) -> tuple[ToolCall, ...]:
    """Calls as OpenAI's chat (``function``) and LangChain (``args``) write them; others stay where they are."""
    found = item.get("tool_calls")
    if not isinstance(found, list):
        return ()
    calls = [_tool_call(call) for call in found]
    if not all(calls):
        return ()
    del item["tool_calls"]
    return tuple(call for call in calls if call is not None)


def _tool_call(call: Any) -> ToolCall | None:
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    name, call_id = inner.get("name"), call.get("id") or ""
    arguments = inner["args"] if "args" in inner else inner.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, parse_constant=no_constant)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not isinstance(call_id, str) or not isinstance(arguments, dict | None):
        return None
    return ToolCall(call_id, name, arguments or {})


def _time(item: dict[str, Any], names: Iterable[str]) -> float:
    """Seconds since 1970 of the first field that says so; one that cannot be read stays among the metadata."""
    for name in names:
        found = look(item, name)
        seconds = 0.0
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < 1e14:
            seconds = found / 1000 if found > _MILLISECONDS_FROM else float(found)
        elif isinstance(found, str):
            try:
                seconds = datetime.fromisoformat(found).timestamp()
            except (ValueError, OverflowError, OSError):
                continue
        if seconds > 0:
            take(item, name)
            return seconds
    return 0.0
