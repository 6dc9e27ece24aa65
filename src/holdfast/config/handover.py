"""``[handover]``."""

from __future__ import annotations

from pydantic import Field

from holdfast.config.fields import Section


class HandoverSection(Section):
    """``[handover]``: conversations that a person goes on with.

    Attributes:
        most: how many may wait at once; further users are told that nobody is free, and the assistant goes on.
    """

    most: int = Field(default=500, ge=1, le=1000)
