"""``[access]``: who may use the server, and as whom."""

from __future__ import annotations

from holdfast.config.fields import Section


class AccessSection(Section):
    """``[access]``."""
