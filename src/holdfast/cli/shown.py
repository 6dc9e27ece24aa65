"""What commands show of sessions: sensitive values masked by the config, unless one asks for them in clear."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast import Message, Sensitive
from holdfast.cli.options import config_of

if TYPE_CHECKING:  # what it imports is an extra
    from holdfast.assistant.masking import Masker

Clear = Annotated[bool, typer.Option("--clear", help="Show sensitive values as they are; the audit log notes it.")]


class Shown:
    """States, messages and texts as they may be shown. Without a config only what is a `Sensitive` is known to be one."""

    def __init__(self, masker: Masker | None, *, clear: bool = False) -> None:
        self._masker = masker
        self._clear = clear

    def state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A session's state."""
        if self._clear:
            return dict(state)
        hidden: dict[str, Any] = _hidden(dict(state))
        return hidden if self._masker is None else self._masker.state(state)

    def message(self, message: Message, state: Mapping[str, Any]) -> Message:
        """A message of the session with this state."""
        return message if self._clear or self._masker is None else self._masker.message(message, state)

    def text(self, text: str) -> str:
        """A text of no session: an error, a reason."""
        return text if self._clear or self._masker is None else self._masker.text(text, {})


def shown_by(config: Path | None, *, clear: bool = False) -> Shown:
    """By the config that is named, or that of this folder. Raises `ConfigError`."""
    settings = None if clear else config_of(config)
    if settings is None:
        return Shown(None, clear=clear)
    from holdfast.assistant.masking import Masker

    return Shown(Masker.of(settings))


def _hidden(value: Any) -> Any:
    if isinstance(value, Sensitive):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _hidden(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(item) for item in value]
    return value
