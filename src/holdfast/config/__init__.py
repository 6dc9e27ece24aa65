"""Everything that ``holdfast.toml`` may say: one typed tree, and how it is read.

A value comes from (the first that has it) the caller's overrides, the environment (``HOLDFAST_SERVER__PORT=9000`` is ``port`` in
``[server]``; ``HOLDFAST_STORE=redis://...`` is the store's URL), the file, the default given here. Folders that are read are
relative to the file; what is written (store, index) is relative to the working directory.
"""

from holdfast.config.agent import AgentSection, MemorySection, ToolLimitSection, ToolsSection
from holdfast.config.channels import ChannelSection
from holdfast.config.fields import Language
from holdfast.config.knowledge import CollectionSection, EmbeddingsSection, KnowledgeSection
from holdfast.config.limits import LimitsSection, TenantLimits, UserLimits
from holdfast.config.loading import check_config, load_config
from holdfast.config.masking import ClearSection, MaskingSection, MaskKind
from holdfast.config.model import BudgetSection, FallbackSection, ModelSection
from holdfast.config.sections import (
    AssistantSection,
    ServerSection,
    StoreSection,
)
from holdfast.config.tasks import ReplySection, SlotSection, TaskSection
from holdfast.config.tree import Config

__all__ = [
    "AgentSection",
    "AssistantSection",
    "BudgetSection",
    "ChannelSection",
    "ClearSection",
    "CollectionSection",
    "Config",
    "EmbeddingsSection",
    "FallbackSection",
    "KnowledgeSection",
    "Language",
    "LimitsSection",
    "MaskKind",
    "MaskingSection",
    "MemorySection",
    "ModelSection",
    "ReplySection",
    "ServerSection",
    "SlotSection",
    "StoreSection",
    "TaskSection",
    "TenantLimits",
    "ToolLimitSection",
    "ToolsSection",
    "UserLimits",
    "check_config",
    "load_config",
]
