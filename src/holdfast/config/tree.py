"""The whole tree."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidatorFunctionWrapHandler, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.config.access import AccessSection
from holdfast.config.agent import AgentSection, MemorySection, ToolsSection
from holdfast.config.channels import ChannelName, ChannelSection
from holdfast.config.encryption import EncryptionSection
from holdfast.config.fields import PREFIX
from holdfast.config.handover import HandoverSection
from holdfast.config.knowledge import KnowledgeSection
from holdfast.config.limits import LimitsSection
from holdfast.config.masking import MaskingSection, SensitiveFields
from holdfast.config.model import ModelSection
from holdfast.config.privacy import PrivacySection
from holdfast.config.sections import (
    AssistantSection,
    ServerSection,
    StoreSection,
    StoreWithOptions,
)
from holdfast.config.tasks import TaskSection
from holdfast.config.trace import TraceSection


class Config(BaseSettings):
    """The whole file. Made by `load_config`, or in code: ``Config(store={"url": "memory:"})``."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix=PREFIX, env_nested_delimiter="__"
    )

    store: StoreSection = Field(default_factory=StoreWithOptions)
    server: ServerSection = ServerSection()
    knowledge: KnowledgeSection = KnowledgeSection()
    model: ModelSection = ModelSection()
    tools: ToolsSection = ToolsSection()
    memory: MemorySection = MemorySection()
    agent: AgentSection = AgentSection()
    assistant: AssistantSection = AssistantSection()
    trace: TraceSection = TraceSection()
    handover: HandoverSection = HandoverSection()
    access: AccessSection = AccessSection()
    limits: LimitsSection = LimitsSection()
    encryption: EncryptionSection = EncryptionSection()
    privacy: PrivacySection = PrivacySection()
    sensitive: SensitiveFields = {}
    masking: MaskingSection = MaskingSection()
    tasks: tuple[TaskSection, ...] = ()
    channels: dict[ChannelName, ChannelSection] = {}

    @property
    def knows_callers(self) -> bool:
        """Whether callers have to say who they are. If not, everybody on this machine may do everything."""
        return bool(self.server.keys) or self.access.identifies

    @property
    def shows_traces(self) -> bool:
        """Whether whoever may use the API may see the turns' traces."""
        on_page, server = self.trace.on_page, self.server
        if on_page == "loopback":
            on_page = server.on_loopback and not self.knows_callers
        return self.trace.enabled and on_page

    @field_validator("store", mode="wrap")
    @classmethod
    def _with_options(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> StoreSection:
        return value if isinstance(value, StoreSection) else StoreWithOptions.model_validate(value)

    @model_validator(mode="after")
    def _guarded(self) -> Config:
        server, access = self.server, self.access
        if not server.on_loopback and not self.knows_callers:
            raise ValueError(
                f"server: host {server.host!r} can be reached from other machines, and there is no access key: set access_keys "
                f"(or {PREFIX}SERVER__ACCESS_KEYS='[\"...\"]', or access_key_file, or the section [access]), or listen on 127.0.0.1"
            )
        if access.visitors and not access.secrets and not server.on_loopback:
            raise ValueError("access: visitors need a secret, the same on all nodes: set secret_file, or secret")
        return self

    @model_validator(mode="after")
    def _answers_channels(self) -> Config:
        if self.channels and not self.server.recovery_every:
            raise ValueError(
                "channels need recovery: with server.recovery_every = 0 messages would be accepted and never answered"
            )
        return self

    @model_validator(mode="after")
    def _speaks_all_languages(self) -> Config:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have one name")
        for task in self.tasks:
            texts = {"title": task.title, **{f"replies.{name}": reply.text for name, reply in task.replies.items()}}
            for slot in task.slots:
                texts[f"slots.{slot.name}.prompt"] = slot.prompt
                if slot.invalid:
                    texts[f"slots.{slot.name}.invalid"] = slot.invalid
            for where, text in texts.items():
                for language in self.assistant.languages:
                    if language not in text:
                        raise ValueError(f"task {task.name!r}: {where} has no text for language {language!r}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_config` merges the sources itself, so that it can name the one that is wrong."""
        return (init_settings,)
