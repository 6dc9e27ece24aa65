"""Who may do what is not for users: answer in their conversations, and see how turns were answered."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from holdfast.config import Config, ServerSection
from holdfast.server.problems import OPERATORS_ONLY, Refused


def is_operator(request: Request, settings: ServerSection) -> bool:
    """Whether the request has an operator key. Where the server asks for no key at all, everybody is one."""
    if not settings.keys:
        return True
    key = request.headers.get("authorization", "").partition(" ")[2].strip()
    given = hashlib.sha256(key.encode()).digest()
    known = [hmac.compare_digest(given, hashlib.sha256(one.encode()).digest()) for one in settings.operators]
    return any(known)


def sees_traces(request: Request, config: Config) -> bool:
    """Whether the request may see how turns were answered: an operator's may, and whoever else `[trace] on_page` says."""
    return config.shows_traces or (bool(config.server.keys) and is_operator(request, config.server))


def check_operator(request: Request, settings: ServerSection) -> None:
    """Raises `Refused` for anybody else."""
    if not is_operator(request, settings):
        raise Refused(OPERATORS_ONLY)
