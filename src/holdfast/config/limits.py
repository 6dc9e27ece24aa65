"""``[limits]``: how much each tenant, user and address may ask for."""

from __future__ import annotations

from holdfast.config.fields import Section


class LimitsSection(Section):
    """``[limits]``."""
