"""Who sees what is not for users: how turns were answered."""

from __future__ import annotations

from starlette.requests import Request

from holdfast.config import Config
from holdfast.server.callers import caller_of
from holdfast.server.rules import STAFF


def sees_traces(request: Request, config: Config) -> bool:
    """Whether the request may see how turns were answered: staff may, and whoever else `[trace] on_page` says."""
    return config.shows_traces or (config.knows_callers and caller_of(request).role in STAFF)
