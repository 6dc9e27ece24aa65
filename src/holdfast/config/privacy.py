"""``[privacy]``: how long things are kept, what is forgotten, and what is written down about who read what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from holdfast.config.fields import Seconds, Section
from holdfast.privacy.retention import Rules


class RetentionRules(Section):
    """What is kept how long; without a rule, as long as its session's ``ttl`` says.

    Attributes:
        sessions: after the last message. traces: after the turn. fields: state fields by name (``*`` fits any), after the session's
            last message.
    """

    sessions: Seconds | None = None
    traces: Seconds | None = None
    fields: dict[str, Seconds] = Field(default_factory=dict)


class RetentionSection(RetentionRules):
    """``[privacy.retention]``: the rules of the store's own tenant, and with ``[privacy.retention.tenants.NAME]`` of others."""

    tenants: dict[str, RetentionRules] = Field(default_factory=dict)

    def rules(self, own: str) -> dict[str, Rules]:
        """By tenant; ``own`` is the store's."""
        sections: dict[str, RetentionRules] = {own: self, **self.tenants}
        return {tenant: Rules(one.sessions, one.traces, one.fields) for tenant, one in sections.items()}


class PrivacySection(Section):
    """``[privacy]``.

    Attributes:
        audit: what the audit log notes: ``staff`` is what operators and admins read or did, and what anybody deleted, exported or
            erased; ``all`` also what users read of their own; ``off`` nothing.
        audit_keep: for how long.
        retention: what is kept how long.
        erased_for: so long writes for an erased user and into an erased session are refused.
    """

    audit: Literal["off", "staff", "all"] = "staff"
    audit_keep: Seconds = 400 * 24 * 3600.0
    erased_for: Seconds = 30 * 24 * 3600.0
    retention: RetentionSection = RetentionSection()
