"""The JSON of who one is: given at a visit and at a login."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from holdfast.server.callers import Role


class NewLogin(msgspec.Struct, forbid_unknown_fields=True):
    """What may come along with a login."""

    session: Annotated[
        str, msgspec.Meta(max_length=256, description="A conversation of the visitor's, to go on as the user's.")
    ] = ""


class Identity(msgspec.Struct):
    """Who one is here.

    ``csrf``: by a cookie only; goes into the header `X-Holdfast-CSRF` of whatever changes something. ``session``: after a
    login, the new id of the conversation that came along. ``expires_at``: of the cookie.
    """

    user: str
    role: Role
    visitor: bool
    tenant: str = ""
    csrf: str = ""
    expires_at: datetime | None = None
    session: str = ""
