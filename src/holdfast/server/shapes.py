"""The JSON that the API gives and takes, and how it is made from sessions, messages and outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from holdfast.assistant.masking import Masker
from holdfast.assistant.waiting import KEY
from holdfast.knowledge.contract import Passage as FoundPassage
from holdfast.sessions.message import Citation as StoredCitation
from holdfast.sessions.message import Message as StoredMessage
from holdfast.sessions.session import Session as StoredSession
from holdfast.turns.outcome import Outcome as StoredOutcome
from holdfast.turns.traces import TurnTrace

_LAST_SECOND: Final = 253_402_300_799.0  # of the year 9999

OnBusy = Literal["queue", "reject", "interrupt"]
UserName = Annotated[
    str, msgspec.Meta(max_length=256, description="Whose session it is; empty: nobody's in particular.")
]


class NewSession(msgspec.Struct, forbid_unknown_fields=True):
    """What a new session may be given."""

    user: UserName = ""


class NewTurn(msgspec.Struct, forbid_unknown_fields=True):
    """A user's input."""

    input: Annotated[str, msgspec.Meta(min_length=1, description="What the user says; not only white space.")]
    on_busy: Annotated[
        OnBusy | None, msgspec.Meta(description="What to do while another turn of the session runs.")
    ] = None


class Session(msgspec.Struct):
    """A conversation: its state with sensitive values masked, and its figures.

    ``stale``: not confirmed by the store now, but ``age`` seconds ago (only where it was asked for so).
    """

    id: str
    user: str
    state: dict[str, Any]
    version: int
    messages: int
    created_at: datetime | None
    expires_at: datetime | None
    running: list[str]
    stale: bool = False
    age: float = 0.0


class SessionSummary(msgspec.Struct):
    """A conversation in a list."""

    id: str
    user: str
    version: int
    messages: int
    created_at: datetime | None
    expires_at: datetime | None


class SessionList(msgspec.Struct):
    """A page of a user's sessions; ``cursor`` asks for the next one, "" where this was the last."""

    sessions: list[SessionSummary]
    cursor: str


class Citation(msgspec.Struct):
    """Where a statement comes from; ``start`` and ``end`` count characters in the document's text.

    ``collection`` is empty for the default one.
    """

    document: str
    title: str
    quote: str
    page: int | None
    start: int | None
    end: int | None
    url: str
    passage_url: str
    collection: str = ""


class Call(msgspec.Struct):
    """A tool that the assistant asked for, its arguments masked."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct):
    """One entry of the conversation's log, sensitive values masked."""

    index: int
    role: Literal["user", "assistant", "tool", "system"]
    content: str
    turn_id: str
    created_at: datetime | None
    citations: list[Citation]
    tool_calls: list[Call]
    metadata: dict[str, Any]


class MessageList(msgspec.Struct):
    """Messages from position ``start`` on, of ``total``; oldest first."""

    messages: list[Message]
    start: int
    total: int


class NewSignal(msgspec.Struct, forbid_unknown_fields=True):
    """What a turn is told."""

    value: Annotated[Any, msgspec.Meta(description="What `wait_for` returns; any JSON.")] = None
    turn_id: Annotated[
        str, msgspec.Meta(max_length=256, description="Which turn; empty: the one that waits for it the longest.")
    ] = ""


class Signalled(msgspec.Struct):
    """The turn that has the signal now."""

    session_id: str
    turn_id: str


class Pending(msgspec.Struct):
    """A turn that has not ended. ``parked``: it waits for the signal ``waiting_for`` ("" where another node knows which), for
    ``left`` seconds at the longest. ``cancelling``: it was told to end, and will.
    """

    session_id: str
    turn_id: str
    status: Literal["parked", "cancelling"]
    waiting_for: str = ""
    left: float = 0.0


class Outcome(msgspec.Struct):
    """A turn that was committed. ``cancelled``: ended by its user or a newer input, with what had been said by then."""

    session_id: str
    turn_id: str
    status: Literal["completed", "cancelled"]
    reply: str
    citations: list[Citation]
    metadata: dict[str, Any]
    version: int
    start: int
    attempts: int
    replayed: bool
    node: str


class NewReply(msgspec.Struct, forbid_unknown_fields=True):
    """What a person says to the user."""

    text: Annotated[str, msgspec.Meta(min_length=1, description="Not only white space.")]
    name: Annotated[str, msgspec.Meta(max_length=80, description="Whose words these are; shown to the user.")] = ""


class NewEnd(msgspec.Struct, forbid_unknown_fields=True):
    """That a person gives a conversation back."""

    name: Annotated[str, msgspec.Meta(max_length=80, description="Who does.")] = ""


class Handover(msgspec.Struct):
    """A conversation that waits for a person, or is with one.

    ``answered``: a person had the last word. ``last``: the last message that somebody wrote, where it is the last of all.
    """

    session_id: str
    user: str
    since: datetime | None
    reason: str
    messages: int
    answered: bool
    last: str


class HandoverList(msgspec.Struct):
    """Conversations that wait for a person, the longest first; ``cursor`` asks for the next page, "" where this was the last."""

    handovers: list[Handover]
    cursor: str


class Note(msgspec.Struct):
    """One step of an attempt; ``at``: milliseconds after its start. What ``data`` holds depends on the kind."""

    kind: str
    at: float
    data: dict[str, Any]


class Attempt(msgspec.Struct):
    """One start of a turn's handler: its number, when, for how many milliseconds, what it raised, and its notes.

    ``left_out``: so many more notes were too much to keep.
    """

    number: int
    since: datetime | None
    ms: float
    error: str
    entries: list[Note]
    left_out: int


class Trace(msgspec.Struct):
    """How a turn was answered; sensitive values masked."""

    session_id: str
    turn_id: str
    attempts: list[Attempt]


class Passage(msgspec.Struct):
    """A stretch of a document around what was cited."""

    id: str
    document: str
    title: str
    page: int | None
    start: int
    end: int
    text: str
    collection: str = ""


class Info(msgspec.Struct):
    """Which node this is, and what it can do."""

    name: str
    version: str
    node: str
    languages: list[str]
    model: str | None
    knowledge: bool
    max_input_chars: int
    max_body_bytes: int
    on_busy: OnBusy
    trace: bool = False


class Ready(msgspec.Struct):
    """The answer of a probe."""

    status: Literal["ready", "alive"]


def session_of(session: StoredSession, masker: Masker, running: list[str]) -> Session:
    """A session as it may be shown."""
    shown = summary_of(session)
    return Session(
        shown.id,
        shown.user,
        masker.state(session.state),
        shown.version,
        shown.messages,
        shown.created_at,
        shown.expires_at,
        running,
        session.stale,
        round(session.age, 3),
    )


def summary_of(session: StoredSession) -> SessionSummary:
    """A session in a list."""
    counter = session.version.counter if session.version else 0
    return SessionSummary(
        session.id, session.user, counter, session.total, moment(session.created_at), moment(session.expires_at)
    )


def message_of(index: int, message: StoredMessage) -> Message:
    """A message that was masked already."""
    return Message(
        index,
        message.role,
        message.content,
        message.turn_id,
        moment(message.created_at or None),
        citations_of(message.citations),
        [Call(call.id, call.name, call.arguments) for call in message.tool_calls],
        message.metadata,
    )


def outcome_of(outcome: StoredOutcome, node: str) -> Outcome:
    """A committed outcome. Its reply is shown as it was committed: the assistant masked it before."""
    citations: list[Citation] = []
    metadata: dict[str, Any] = {}
    for message in outcome.messages:
        if message.role == "system":
            metadata = metadata | message.metadata
        elif message.role == "assistant":
            citations += citations_of(message.citations)
            metadata = metadata | message.metadata if metadata else message.metadata
    return Outcome(
        outcome.session_id,
        outcome.turn_id,
        "cancelled" if outcome.status == "cancelled" else "completed",
        outcome.reply,
        citations,
        metadata,
        outcome.version.counter,
        outcome.start,
        outcome.attempts,
        outcome.replayed,
        node,
    )


def parked_of(session_id: str, turn_id: str, left: float, waiting_for: str = "") -> Pending:
    """A turn that waits for a signal."""
    return Pending(session_id, turn_id, "parked", waiting_for, round(left, 3))


def citations_of(citations: Iterable[StoredCitation]) -> list[Citation]:
    """Citations with the place to look them up."""
    return [
        Citation(
            one.document, one.title, one.quote, one.page, one.start, one.end, one.url, _passage_url(one), one.collection
        )
        for one in citations
    ]


def handover_of(session: StoredSession, masker: Masker) -> Handover:
    """A conversation that waits, with its last words: behind a user's, the turn left a note without any."""
    line = session.state[KEY]
    last = next((message for message in reversed(session.messages) if message.content), None)
    return Handover(
        session.id,
        session.user,
        moment(float(line["since"])),
        str(line["reason"]),
        session.total,
        last is not None and last.metadata.get("by") == "person",
        masker.message(last, dict(session.state)).content if last is not None else "",
    )


def trace_of(trace: TurnTrace) -> Trace:
    """What is kept of a turn's attempts, masked when it was noted."""
    attempts = [
        Attempt(
            number,
            moment(noted.get("since")),
            float(noted.get("ms", 0)),
            str(noted.get("error", "")),
            [Note(one["kind"], one["at"], one["data"]) for one in noted.get("entries", ())],
            int(noted.get("left_out", 0)),
        )
        for number, noted in trace.attempts
    ]
    return Trace(trace.session_id, trace.turn_id, attempts)


def passage_of(passage: FoundPassage) -> Passage:
    """A passage of the index."""
    return msgspec.convert(passage, Passage, from_attributes=True)


def moment(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC)


def _passage_url(citation: StoredCitation) -> str:
    if citation.start is None or citation.end is None:
        return ""
    place: dict[str, str | int] = {"document": citation.document, "start": citation.start, "end": citation.end}
    if citation.collection:
        place["collection"] = citation.collection
    return f"/v1/passages?{urlencode(place)}"
