"""``[privacy]``: how long things are kept, what is forgotten, and what is written down about who read what."""

from __future__ import annotations

from typing import Literal

from holdfast.config.fields import Seconds, Section


class PrivacySection(Section):
    """``[privacy]``.

    Attributes:
        audit: what the audit log notes: ``staff`` is what operators and admins read or did, and what anybody deleted, exported or
            erased; ``all`` also what users read of their own; ``off`` nothing.
        audit_keep: for how long.
        erased_for: so long writes for an erased user and into an erased session are refused.
    """

    audit: Literal["off", "staff", "all"] = "staff"
    audit_keep: Seconds = 400 * 24 * 3600.0
    erased_for: Seconds = 30 * 24 * 3600.0
