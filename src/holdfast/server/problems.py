"""Errors as RFC 9457 problems: one table, and nothing of an error's text where it is not the caller's business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast import errors
from holdfast.errors import HoldfastError
from holdfast.turns.outcome import Outcome


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem.

    Attributes:
        slug: ends ``type``. status, title: as in RFC 9457.
        detail: said instead of the error's own text; "" says that.
        retry_after: seconds after which the same request may be sent again; 0 is never.
    """

    slug: str
    status: int
    title: str
    detail: str = ""
    retry_after: int = 0


class Problem(msgspec.Struct, omit_defaults=True):
    """What went wrong, as RFC 9457 says it.

    Attributes:
        type: names the kind: ``/problems/...``. title: the kind in words. status: the HTTP status.
        detail: what happened this time, and what to do. instance: the path that was asked for.
        turn_id: the turn that it happened to.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    turn_id: str = ""


class Refused(Exception):
    """The server itself refuses a request; becomes a problem. ``retry_after``: seconds, where they are known this time; ``headers``
    of the answer."""

    def __init__(
        self, kind: Kind, detail: str = "", *, retry_after: float = 0.0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail or kind.detail)
        self.kind = kind
        self.retry_after = retry_after
        self.headers = headers or {}


INTERNAL: Final = Kind(
    "internal", 500, "Internal error", "Something went wrong here that was not expected; the node's log has the reason."
)
NOT_FOUND: Final = Kind("not-found", 404, "Not found", "There is nothing at this path.")
BAD_METHOD: Final = Kind("method-not-allowed", 405, "Method not allowed", "This path has no such method.")
UNAUTHORIZED: Final = Kind(
    "unauthorized",
    401,
    "Access key needed",
    "Send the header `Authorization: Bearer KEY` with an access key or token, or log in.",
)
CROSS_SITE: Final = Kind(
    "cross-site",
    403,
    "Not from this page",
    "A request by cookie that changes something comes from the server's own page, or one of `[access] origins`, and with the "
    "header `X-Holdfast-CSRF` as `GET /v1/me` tells it.",
)
VISITS_OFF: Final = Kind("visits-off", 403, "No visitors", "This server wants to know who you are: log in.")
LOGIN_OFF: Final = Kind(
    "login-off", 403, "No cookies", "This server has no secret to sign cookies with: see `[access] secret_file`."
)
PROVIDER_SILENT: Final = Kind(
    "provider-silent", 503, "Identity provider silent", "The identity provider's keys cannot be had now.", 5
)
BODY_TOO_LARGE: Final = Kind("body-too-large", 413, "Body too large")
BODY_TOO_SLOW: Final = Kind("body-too-slow", 408, "Body too slow", "The body did not arrive in time.", 1)
MEDIA_TYPE: Final = Kind(
    "unsupported-media-type", 415, "Not JSON", "Send the body as JSON, with `Content-Type: application/json`."
)
MALFORMED: Final = Kind("malformed", 400, "Malformed body")
INVALID: Final = Kind("invalid-request", 422, "Invalid request")
OVERLOADED: Final = Kind(
    "overloaded",
    503,
    "Too many turns",
    "This node runs as many turns as it may. Send the same request again later, or to another node.",
    1,
)
WITHDRAWN: Final = Kind(
    "withdrawn",
    409,
    "Cancelled while it waited",
    "The turn was cancelled before there was room for it; nothing was accepted.",
)
RATE_LIMITED: Final = Kind("rate-limited", 429, "Too many requests", retry_after=1)
QUOTA_EXCEEDED: Final = Kind("quota-exceeded", 403, "Quota exceeded")
LIMITS_DOWN: Final = Kind(
    "limits-unavailable",
    503,
    "Limits cannot be checked",
    "Nobody can say now whether there is room for this request. Send it again later.",
    1,
)
DRAINING: Final = Kind(
    "draining",
    503,
    "Node is stopping",
    "This node is stopping. Send the same request again, with the same Idempotency-Key: another node goes on.",
    1,
)
TURN_TIMEOUT: Final = Kind(
    "turn-timeout",
    504,
    "Turn took too long",
    "The turn did not end in time; nothing of it was written. Send it again with the same Idempotency-Key.",
    1,
)

_STORE_DOWN: Final = Kind(
    "store-unavailable",
    503,
    "Store unavailable",
    "The session store cannot be reached, and nothing was changed. Send the same request again later.",
    2,
)
_UNREADABLE: Final = Kind(
    "unreadable-record",
    500,
    "Unreadable record",
    "What is stored for this session cannot be read by this node. It was left as it is; the node's log has the reason.",
)
_KNOWLEDGE: Final = Kind("knowledge-unavailable", 503, "Documents unavailable", "The documents cannot be read now.", 5)
_SESSION_NOT_FOUND: Final = Kind(
    "session-not-found", 404, "No such session", "There is no such session, or it has expired."
)

KINDS_OF_ERRORS: Final[Mapping[type[HoldfastError], Kind]] = {
    errors.HoldfastError: INTERNAL,
    errors.ConfigError: INTERNAL,
    errors.InvalidInput: INVALID,
    errors.InvalidId: Kind("invalid-id", 422, "Invalid id"),
    errors.UnsupportedValue: INVALID,
    errors.LimitExceeded: Kind("limit-exceeded", 422, "Limit exceeded"),
    errors.StoreError: _STORE_DOWN,
    errors.StoreUnavailable: _STORE_DOWN,
    errors.StoreOverloaded: Kind(
        "store-overloaded",
        503,
        "Too many calls wait for the store",
        "As many calls wait for the session store as may; nothing was changed. Send the same request again later.",
        1,
    ),
    errors.StoreTimeout: _STORE_DOWN,
    errors.OutcomeUnknown: Kind(
        "outcome-unknown",
        503,
        "Outcome unknown",
        "The store went silent while this was written: it may or may not have been. Send the same request again, a turn with the "
        "same Idempotency-Key, to learn what became of it.",
        2,
    ),
    errors.StoreFull: Kind(
        "store-full", 503, "Store full", "The session store is full: nothing was changed. Try again later.", 30
    ),
    errors.UnreadableRecord: _UNREADABLE,
    errors.SessionError: Kind("session-conflict", 409, "Session in another state"),
    errors.SessionNotFound: _SESSION_NOT_FOUND,
    errors.SessionExists: Kind("session-exists", 409, "Session exists"),
    errors.SessionGone: Kind(
        "session-gone",
        410,
        "Session deleted",
        "The session was deleted or expired while this ran; nothing was written.",
    ),
    errors.TurnNotFound: Kind(
        "turn-not-found", 404, "No such turn", "This session knows no such turn, or has forgotten its outcome."
    ),
    errors.NotHandedOver: Kind(
        "not-handed-over",
        409,
        "Not handed over",
        "The conversation is not with a person (any more): the assistant answers there. Nothing was written.",
    ),
    errors.WrongUser: Kind("wrong-user", 403, "Another user's session", "The session belongs to another user."),
    errors.Erased: Kind(
        "erased", 410, "Erased", "What belonged to this user was erased on request; nothing is written for it any more."
    ),
    errors.AssistantError: Kind(
        "assistant-failed", 502, "Assistant failed", "A part of the assistant failed; nothing was written.", 1
    ),
    errors.TurnError: Kind("turn-conflict", 409, "Turn not committed"),
    errors.TurnFinished: Kind("turn-finished", 409, "Turn is finished"),
    errors.TurnFailed: Kind(
        "turn-failed",
        500,
        "Turn failed",
        "The turn was given up after its last attempt, and is kept for the operator. Send the input under a new "
        "Idempotency-Key to try it anew.",
    ),
    errors.TurnParked: Kind(
        "turn-parked",
        409,
        "Turn waits",
        "The turn waits for a signal. Follow its events, or send it again with the same Idempotency-Key.",
        5,
    ),
    errors.SignalTimeout: INTERNAL,
    errors.TurnMismatch: Kind(
        "turn-mismatch",
        422,
        "Turn id used before",
        "This Idempotency-Key was sent before with another input. Give every new input a new one.",
    ),
    errors.TurnBusy: Kind(
        "turn-busy", 409, "Session is busy", "Another turn of this session is running; nothing was accepted.", 1
    ),
    errors.QueueTimeout: Kind(
        "queue-timeout",
        409,
        "Waited too long",
        "The turn still waits behind others, or still runs on another node. Send it again with the same Idempotency-Key.",
        1,
    ),
    errors.TurnOvertaken: Kind(
        "turn-overtaken",
        409,
        "Turn taken over",
        "Another node has this turn now. Ask again with the same Idempotency-Key.",
        1,
    ),
    errors.TurnConflict: Kind(
        "turn-conflict", 409, "Turn not committed", "Other writers were faster; nothing was written. Send it again.", 1
    ),
    errors.StepMisuse: INTERNAL,
    errors.KnowledgeError: _KNOWLEDGE,
}
"""The kind of every error; a class that is not named here is of its nearest base's kind."""

PASSAGE_NOT_FOUND: Final = Kind(
    "passage-not-found", 404, "No such passage", "The documents have no such passage (any more)."
)

TRACE_NOT_FOUND: Final = Kind(
    "trace-not-found", 404, "No trace", "Nothing is kept of how this turn was answered (any more)."
)
TRACE_CLOSED: Final = Kind(
    "trace-closed", 403, "Traces are not shown", "Traces are shown to operators only: see `[trace] on_page`."
)
OPERATORS_ONLY: Final = Kind(
    "operators-only",
    403,
    "For operators",
    "This needs the role operator or admin: see `[access]` and `[server] operator_keys`.",
)
SCOPE_MISSING: Final = Kind("scope-missing", 403, "Scope missing")
FORBIDDEN: Final = Kind(
    "forbidden",
    403,
    "Not allowed",
    "Operators read conversations and answer in them; they neither speak as the user nor delete.",
)

OWN_KINDS: Final = (
    INTERNAL,
    NOT_FOUND,
    BAD_METHOD,
    UNAUTHORIZED,
    CROSS_SITE,
    VISITS_OFF,
    LOGIN_OFF,
    PROVIDER_SILENT,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    MEDIA_TYPE,
    MALFORMED,
    INVALID,
    OVERLOADED,
    WITHDRAWN,
    RATE_LIMITED,
    QUOTA_EXCEEDED,
    LIMITS_DOWN,
    DRAINING,
    TURN_TIMEOUT,
    PASSAGE_NOT_FOUND,
    TRACE_NOT_FOUND,
    TRACE_CLOSED,
    OPERATORS_ONLY,
    SCOPE_MISSING,
    FORBIDDEN,
)
"""Kinds that the server itself finds."""


def kind_of(error: BaseException) -> Kind:
    """The kind that an error is shown as."""
    if isinstance(error, Refused):
        return error.kind
    for base in type(error).__mro__:
        if (kind := KINDS_OF_ERRORS.get(base)) is not None:
            return kind
    return INTERNAL


def problem_of(error: BaseException, *, instance: str = "", turn_id: str = "") -> Problem:
    """What a caller is told of an error."""
    kind = kind_of(error)
    own = isinstance(error, Refused) or not kind.detail
    detail = str(error) if own else kind.detail
    if isinstance(error, errors.TurnFailed) and isinstance(error.outcome, Outcome) and error.outcome.reply:
        detail = error.outcome.reply  # written for the user, and in the log
    return Problem(f"/problems/{kind.slug}", kind.title, kind.status, detail, instance, turn_id)
