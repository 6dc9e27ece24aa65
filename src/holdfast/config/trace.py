"""``[trace]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from holdfast.config.fields import Seconds, Section


class TraceSection(Section):
    """``[trace]``: what each turn understood, decided, looked up and called, for whoever has to find out why.

    Attributes:
        enabled: whether it is kept. keep: for how many seconds (``"24h"``); not longer than its session.
        max_bytes: of one attempt of a turn; long texts are cut, then the last notes left out.
        on_page: whether the chat page and the API show it: prompts and tools are not for end users. ``"loopback"``: where the
            server listens on loopback only, and without access keys. Whoever has an operator key sees it in any case.
    """

    enabled: bool = True
    keep: Seconds = 24 * 3600.0
    max_bytes: int = Field(default=64 * 1024, ge=1024, le=512 * 1024)
    on_page: bool | Literal["loopback"] = False
