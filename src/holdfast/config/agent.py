"""``[tools]``, ``[memory]`` and ``[agent]``."""

from __future__ import annotations

from pydantic import Field

from holdfast.config.fields import Localized, Seconds, Section


class ToolLimitSection(Section):
    """``[tools.limits.NAME]``: what is different for one tool."""

    timeout: Seconds | None = None
    max_result_bytes: int | None = Field(default=None, ge=64)


class ToolsSection(Section):
    """``[tools]``.

    Attributes:
        functions: each ``package.module:function``, or a module, whose functions marked with `holdfast.tools.tool` are taken.
        allow: names that may be called; without it, all. ask: names that are called only when the user has agreed.
        timeout: seconds for a call. max_result_bytes: a larger result is an error.
        limits: other limits, by tool. titles: what a tool is called towards the user, by tool and language.
    """

    functions: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    ask: tuple[str, ...] = ()
    timeout: Seconds = 10.0
    max_result_bytes: int = Field(default=64 * 1024, ge=64)
    limits: dict[str, ToolLimitSection] = Field(default_factory=dict)
    titles: dict[str, Localized] = Field(default_factory=dict)


class MemorySection(Section):
    """``[memory]``.

    Attributes:
        tokens: what a model sees of the conversation before this turn.
        summary_after: messages beyond those that are kept, from which on they are summarised; 0 never. summary_keep: the last
            messages, which no summary replaces. summary_tokens: how long the summary is at the most.
        summary: by the model where there is one, else by taking sentences out ("extractive").
        timeout: seconds for a summary.
    """

    tokens: int = Field(default=2_000, ge=0, le=1_000_000)
    summary_after: int = Field(default=12, ge=0)
    summary_keep: int = Field(default=8, ge=0)
    summary_tokens: int = Field(default=300, ge=50, le=10_000)
    summary: str = Field(default="auto", pattern="^(auto|extractive)$")
    timeout: Seconds = 60.0


class AgentSection(Section):
    """``[agent]``.

    Attributes:
        max_rounds: answers of the model in one turn. max_calls: calls of tools in one turn.
        instructions: what the agent is for, by language; stands before what Holdfast tells every agent.
    """

    max_rounds: int = Field(default=6, ge=1, le=50)
    max_calls: int = Field(default=12, ge=0, le=200)
    instructions: Localized = Field(default_factory=dict)
