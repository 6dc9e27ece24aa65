"""The sections of the file, but for the tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, create_model, model_validator

from holdfast.config.access import is_loopback
from holdfast.config.fields import Language, Seconds, SecondsOrOff, Section
from holdfast.sessions.settings import StoreOptions, settings_from

Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value), Field(min_length=1)
]
"""One name or several."""


def _zone(value: str) -> str:
    try:
        if value:
            ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; they are named like Asia/Shanghai") from None
    return value


Timezone = Annotated[str, AfterValidator(_zone)]


class StoreSection(Section):
    """``[store]``: ``url`` and the options of `holdfast.open_store`."""

    url: str = Field(default="sqlite:///holdfast.db", repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _checked(self) -> StoreSection:
        settings_from(self.options)
        return self

    @property
    def options(self) -> StoreOptions:
        """The keyword arguments of `holdfast.open_store` that were given."""
        return cast(StoreOptions, {name: getattr(self, name) for name in self.model_fields_set if name != "url"})


StoreWithOptions: type[StoreSection] = create_model(
    "StoreSection",
    __base__=StoreSection,
    **cast(Any, {name: (hint | None, None) for name, hint in get_type_hints(StoreOptions).items()}),
)
"""`StoreSection` with a field for each option, so that a new option of the store is one of the file's too."""


class ServerSection(Section):
    """``[server]``.

    Attributes:
        host, port: where to listen. Anything but loopback needs an access key.
        access_keys: the short form of ``[access] keys``: in clear, each an application of the default tenant; also one a line in
            ``access_key_file``.
        operator_keys: for people who answer in conversations that were handed over, and see how turns were answered; they open
            all the rest too. Without any, only a server without access keys has these routes open.
        max_body_bytes, max_input_chars: larger requests and inputs are refused.
        max_concurrent_turns: turns that this node runs at once; further ones are told to come back.
        turn_timeout: seconds after which a running turn is given up.
        drain: seconds that running turns get on SIGTERM.
        on_busy: what happens to a second input while the first one runs.
        server_figures_every: seconds between two looks at the store's server for ``/metrics`` (memory, replicas).
        recovery_every: seconds between two looks for turns that other nodes left behind; 0 leaves them.
        node: this node's name on the page and in logs; made from host and process if empty.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    access_keys: tuple[SecretStr, ...] = ()
    access_key_file: Path | None = None
    operator_keys: tuple[SecretStr, ...] = ()
    max_body_bytes: int = Field(default=256 * 1024, ge=1024)
    max_input_chars: int = Field(default=8_000, ge=1)
    max_concurrent_turns: int = Field(default=64, ge=1)
    turn_timeout: Seconds = 120.0
    drain: Seconds = 30.0
    on_busy: Literal["queue", "reject", "interrupt"] = "queue"
    server_figures_every: Seconds = 10.0
    recovery_every: SecondsOrOff = 2.0
    node: str = Field(default="", max_length=64)

    @model_validator(mode="after")
    def _guarded(self) -> ServerSection:
        keys = self.keys  # read here too, so that a file that cannot be is told of at once
        if self.operator_keys and not keys:
            raise ValueError("operator_keys need access_keys: without any, everybody is an operator")
        return self

    @property
    def operators(self) -> tuple[str, ...]:
        """All operator keys in clear."""
        return tuple(key.get_secret_value() for key in self.operator_keys)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def keys(self) -> tuple[str, ...]:
        """All access keys in clear, those of ``access_key_file`` too."""
        lines = _file_lines(self.access_key_file) if self.access_key_file else []
        return (*(key.get_secret_value() for key in self.access_keys), *lines)


class AssistantSection(Section):
    """``[assistant]``: each part by name (``holdfast parts ls``), or as ``package.module:factory`` of one's own.

    Attributes:
        understanding: asked in this order, each going on from the one before. policy: asked in this order, until one answers.
        tools, knowledge, memory, model, answer: one part each.
        flows: files and folders of flows (docs/flows.md), relative to the config.
        intents: files of example sentences (CSV: text, category) beside those of the flows; a category is a flow's name.
        intents_cache: the folder where learned intents are kept; "" learns them at every start.
        timezone: in which "tomorrow at nine" is meant, like Asia/Shanghai; the machine's own if empty.
        languages: the first one is spoken until the user's is known.
        texts: built-in texts to replace, by language and name.
    """

    understanding: Names = ("rules",)
    policy: Names = ("handover", "flows", "small_talk", "documents")
    tools: str = "functions"
    knowledge: str = "index"
    memory: str = "recent"
    model: str = "openai"
    answer: str = "auto"
    flows: tuple[Path, ...] = ()
    intents: tuple[Path, ...] = ()
    intents_cache: str = ""
    timezone: Timezone = ""
    languages: tuple[Language, ...] = Field(default=("zh", "en"), min_length=1)
    texts: dict[Language, dict[str, str]] = Field(default_factory=dict)


def _file_lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"access_key_file {str(file)!r} cannot be read: {error}") from None
