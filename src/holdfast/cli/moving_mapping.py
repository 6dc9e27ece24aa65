"""How another application's keys and values become sessions: the mapping file, its defaults, and the presets."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from holdfast.errors import ConfigError, InvalidId, InvalidInput
from holdfast.sessions.durations import milliseconds
from holdfast.sessions.ids import checked_id, checked_name, checked_tenant
from holdfast.sessions.message import Role

Form = Literal["json", "langchain", "openai-agents", "llamaindex"]
"""Who wrote the values."""

Names = str | tuple[str, ...]
"""A field's name, or several of which the first that is there counts. ``a.b`` is b inside of a."""

_REVISION: Final = 1
"""Raise it when the same mapping begins to make something else of the same value: all sessions are compared anew then."""

_ROLES: Final[dict[str, Role]] = {
    **dict.fromkeys(("user", "human", "HumanMessageChunk"), "user"),
    **dict.fromkeys(("assistant", "ai", "bot", "model", "chatbot", "AIMessageChunk"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function"), "tool"),
}


class KeySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[key]``: what a source key says.

    ``regex`` matches the whole key, with a group ``id`` and, if wanted, ``user`` and ``tenant``. Without it the id is what
    follows the fixed beginning of ``--pattern``.
    """

    regex: str = ""


class MessageSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[messages]``: where a conversation stands, and what its messages' fields are called.

    Attributes:
        at: dotted path of the list in the value; "" where the whole value is the list. Not given: the value itself if it is a
            list, else the first list among ``messages``, ``history``, ``chat_history``.
        role, content, time: names of fields. A time is seconds or milliseconds since 1970, or ISO 8601.
        newest_first: the list begins with the latest message.
    """

    at: str | None = None
    role: Names = ("role", "type")
    content: Names = ("content", "text")
    time: Names = ("created_at", "timestamp", "time")
    newest_first: bool = False


class StateSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[state]``: which of the value's other keys become state: all, or those in ``include``; never those in ``exclude``."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole mapping file.

    Attributes:
        roles: the source's words for Holdfast's roles, beside the usual ones.
        user: dotted path of the field that names the user; it stays in the state.
        companion: a hash that belongs to a list of messages and holds its state; ``{id}`` stands for the session's id.
        ttl: ``keep`` (what the source's key has left), ``none``, or a duration like ``2h`` that begins at the import.
        duplicate_keys: a JSON object that has a key twice is refused, or its ``last`` one counts.
    """

    key: KeySection = KeySection()
    messages: MessageSection = MessageSection()
    state: StateSection = StateSection()
    roles: dict[str, Role] = {}
    user: str = ""
    companion: str = ""
    ttl: str | int | float = "keep"
    duplicate_keys: Literal["refuse", "last"] = "refuse"


class _Preset(msgspec.Struct, frozen=True):
    pattern: str
    settings: dict[str, Any]


PRESETS: Final[dict[str, _Preset]] = {
    "json": _Preset("", {}),
    "langchain": _Preset("message_store:*", {"messages": {"newest_first": True}}),
    "openai-agents": _Preset(
        "agents:session:*:messages",
        {
            "key": {"regex": "agents:session:(?P<id>.+):messages"},
            "companion": "agents:session:{id}",
            "state": {"exclude": ["session_id", "created_at", "updated_at"]},
        },
    ),
    "llamaindex": _Preset("", {}),
}


class Unusable(InvalidInput):
    """A source key or value of which no session can be made.

    Attributes:
        reason: one word for programs, like ``not_json`` or ``unknown_role``.
    """

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Identity(msgspec.Struct, frozen=True):
    """What a key says: whose session it is."""

    id: str
    user: str = ""
    tenant: str = ""


class Mapping:
    """A checked mapping. Built by `load_mapping`."""

    def __init__(self, settings: Settings, form: Form, pattern: str) -> None:
        self.settings = settings
        self.form = form
        self.pattern = pattern
        self.regex = re.compile(settings.key.regex or re.escape(_beginning(pattern)) + "(?P<id>.*)", re.DOTALL)
        self.roles = {**_ROLES, **settings.roles}
        self.role, self.content, self.time = (
            (names,) if isinstance(names, str) else names
            for names in (settings.messages.role, settings.messages.content, settings.messages.time)
        )
        self.ttl_ms = None if settings.ttl == "keep" else 0 if settings.ttl == "none" else _fixed(settings.ttl)
        """Of imported sessions; 0 is without end, None what the source's key has left."""
        whole = (_REVISION, form, self.regex.pattern, settings)
        self.fingerprint = hashlib.blake2b(msgspec.json.encode(whole, order="deterministic"), digest_size=16).digest()
        """Stands for all that decides what is made of a value."""

    def identity_of(self, key: bytes) -> Identity:
        """Raises `Unusable` where the key does not match, or an id in it is none."""
        try:
            match = self.regex.fullmatch(key.decode())
        except UnicodeDecodeError:
            raise Unusable("bad_key", "the key is not UTF-8") from None
        if match is None:
            raise Unusable("bad_key", f"the key does not match the regex {self.regex.pattern!r}")
        parts = match.groupdict()
        try:
            return Identity(
                checked_id("session", parts["id"] or ""),
                checked_name("user", parts.get("user") or ""),
                checked_tenant(parts.get("tenant") or ""),
            )
        except InvalidId as error:
            raise Unusable("bad_id", str(error)) from None


def load_mapping(file: Path | None, form: Form, pattern: str) -> Mapping:
    """The preset, with the file's settings over it. Raises `ConfigError`, naming the file and the key (or line)."""
    preset = PRESETS[form]
    pattern = pattern or preset.pattern
    if not pattern:
        raise ConfigError("which keys? give --pattern, like --pattern 'chat:*'")
    tree = {} if file is None else _read(file)
    merged = dict(preset.settings)
    for name, value in tree.items():
        below = merged.get(name)
        merged[name] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    try:
        settings = msgspec.convert(merged, Settings)
        _check(settings)
        return Mapping(settings, form, pattern)
    except (msgspec.ValidationError, ConfigError) as error:
        raise ConfigError(f"{file or 'the mapping'}: {_explained(str(error), tree)}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file; --mapping names a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits, or nested too deep
        raise ConfigError(f"{file}: not TOML: {error}") from None


def _check(settings: Settings) -> None:
    if settings.key.regex:
        try:
            groups = set(re.compile(settings.key.regex).groupindex)
        except re.error as error:
            raise ConfigError(f"key.regex is not a regular expression: {error}") from None
        if "id" not in groups or groups - {"id", "user", "tenant"}:
            raise ConfigError("key.regex needs a group (?P<id>...), and may have (?P<user>...) and (?P<tenant>...)")
    if settings.ttl not in ("keep", "none"):
        _fixed(settings.ttl)
    if settings.companion and "{id}" not in settings.companion:
        raise ConfigError("companion needs {id} in it: every session has a hash of its own")
    renamed = list(settings.state.rename.values())
    if len(set(renamed)) < len(renamed):
        raise ConfigError("state.rename gives two keys the same name")


def _fixed(ttl: str | float) -> int:
    try:
        return milliseconds("ttl", ttl)
    except ConfigError as error:
        raise ConfigError(f'{error}; or "keep", or "none"') from None


def _explained(text: str, tree: dict[str, Any]) -> str:
    """msgspec's message with the key first: ``messages.role: Expected ...``, and the nearest name for an unknown one."""
    if unknown := re.search(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", text):
        name, section = unknown[1], unknown[2] or ""
        known = {"key": KeySection, "messages": MessageSection, "state": StateSection}.get(section, Settings)
        near = difflib.get_close_matches(name, known.__struct_fields__, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known.__struct_fields__)}"
        return f"{section + '.' if section else ''}{name} is not a setting; {hint}"
    if placed := re.fullmatch(r"(.*) - at `\$\.?([^`]*)`", text, re.DOTALL):
        return f"{placed[2] or 'as a whole'}: {placed[1]}"
    return text


def _beginning(pattern: str) -> str:
    """What stands before the first wildcard; a backslash takes the next character as it is."""
    fixed = ""
    rest = iter(pattern)
    for char in rest:
        if char in "*?[":
            break
        fixed += next(rest, "") if char == "\\" else char
    return fixed
