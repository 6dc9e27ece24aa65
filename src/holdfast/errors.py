"""Every error that Holdfast raises.

HoldfastError
├── ConfigError                     a setting, a URL or the installation is wrong
│   ├── UnknownScheme               no backend for this URL
│   ├── MissingExtra                an optional dependency is not installed
│   └── ServerUnsuitable            the server is too old, or may lose what it acknowledged
├── InvalidInput                    the caller's value cannot be stored; nothing was written
│   ├── InvalidId                   a session, turn, user or tenant id
│   ├── UnsupportedValue            a type outside the codec's closed set (names the path)
│   └── LimitExceeded               too large, too deep, too many
├── StoreError                      the store could not do it
│   ├── StoreUnavailable            not reached: nothing was applied
│   │   ├── StoreOverloaded         refused early, because too many calls wait already
│   │   └── StoreClosed             this store was closed by its owner
│   ├── StoreTimeout                no answer by the deadline
│   ├── OutcomeUnknown              a write was sent and its reply never came
│   ├── StoreFull                   memory or disk is full: the write was refused
│   └── UnreadableRecord            what is stored cannot be read
│       ├── CorruptRecord           damaged, truncated, or half there
│       │   └── NotEncrypted        in clear where everything is encrypted: old, or put there by somebody else
│       ├── KeyUnavailable          encrypted with a key that is not here (any more): destroyed, or no ring is set up
│       └── FutureFormat            written by a newer release
├── SessionError
│   ├── SessionNotFound             there is no such session (or it has expired)
│   ├── SessionExists               `create` met a living session
│   ├── SessionGone                 deleted or expired under the caller's hands
│   │   └── TurnNotFound            nothing is known of a turn that was asked for by its id
│   ├── NotHandedOver               a person's word for a conversation that the assistant has
│   ├── WrongUser                   the session belongs to another user
│   └── Erased                      the user or the session was erased: nothing is written for it any more
├── AssistantError                  a part of the assistant failed; the conversation goes on without it
│   ├── ToolError                   a tool raised, took too long, or returned what no reply is for
│   └── ModelError                  the language model could not be reached, or said nothing usable
├── ExamplesUnusable                example sentences that no intents can be learned from, or measured on
├── TurnError
│   ├── TurnFinished                entered a turn that is finished; carries the outcome
│   ├── TurnFailed                  the turn's stored outcome is a failure
│   ├── TurnAbandoned               raised by a handler: the turn has failed for good, whatever tries are left
│   ├── TurnParked                  it waits for a signal, held by no node
│   ├── SignalTimeout               nothing was signalled in time
│   ├── TurnMismatch                the same turn id with another input
│   ├── TurnBusy                    another turn runs and the policy is `reject`
│   ├── QueueTimeout                the turn's place in the queue was given up
│   ├── TurnOvertaken               another holder has the turn now (fenced off)
│   ├── TurnConflict                both sides changed the same keys
│   └── StepMisuse                  a step's name or result breaks the journal's rules
└── KnowledgeError                  documents could not be read, indexed or searched
    ├── KnowledgeMissing            no such folder, file, document or index
    ├── UnreadableDocument          a document could not be read; names it
    │   ├── UnsupportedDocument     no reader for its kind, or not text at all
    │   ├── EncryptedDocument       it asks for a password
    │   └── EmptyDocument           it holds no text (an empty file, a scan without a text layer)
    ├── IndexUnusable               not a knowledge index, damaged, or written by a newer release
    ├── IndexBusy                   another process went on writing to the index past the deadline
    ├── EmbeddingError              the embeddings' endpoint could not be reached, or sent nothing usable
    └── KnowledgeClosed             this index was closed by its owner
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HoldfastError(Exception):
    """The root of every error that Holdfast raises."""


class ConfigError(HoldfastError, ValueError):
    """A setting, a URL or the installation is wrong; the message says what to change."""


class UnknownScheme(ConfigError):
    """No backend serves this URL's scheme."""


class MissingExtra(ConfigError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class ServerUnsuitable(ConfigError):
    """The server answered, but cannot keep the store's promises as it is set up."""


class InvalidInput(HoldfastError, ValueError):
    """The caller's value cannot be stored. Nothing was written."""


class InvalidId(InvalidInput):
    """An id is not text of 1 to 256 characters."""


class UnsupportedValue(InvalidInput, TypeError):
    """A value's type is outside the closed set.

    Attributes:
        path: where the value stands, like ``cart.items[3].price``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class LimitExceeded(InvalidInput):
    """A value is larger, deeper or more numerous than a setting allows."""


class StoreError(HoldfastError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store was not reached, or refused before it did anything: nothing was applied.

    Attributes:
        retry_after: seconds after which trying again makes sense; 0 where that is not known.
    """

    retry_after: float = 0.0


class StoreOverloaded(StoreUnavailable):
    """Refused early instead of piling up: as many calls as a setting allows wait for the store already."""


class StoreClosed(StoreUnavailable):
    """The store was closed by its owner."""


class StoreTimeout(StoreError, TimeoutError):
    """No answer by the deadline, on a call that is safe to repeat."""


class OutcomeUnknown(StoreError):
    """A write was sent and its reply never came: it may or may not have been applied."""


class StoreFull(StoreError):
    """Memory or disk is full. The write was refused and nothing was changed."""


class UnreadableRecord(StoreError):
    """What is stored under this key cannot be read by this release."""


class CorruptRecord(UnreadableRecord):
    """A stored record is damaged, truncated, or half there. It is never shown as empty."""


class NotEncrypted(CorruptRecord):
    """A stored value is in clear where everything is encrypted: from before encryption, or put there by somebody else."""


class KeyUnavailable(UnreadableRecord):
    """A stored value is encrypted with a key that is not here (any more): destroyed with its user, or missing in the key ring."""


class FutureFormat(UnreadableRecord):
    """A record was written in a format version that this release does not know."""


class SessionError(HoldfastError):
    """What was asked does not fit the session's state."""


class SessionNotFound(SessionError, KeyError):
    """There is no such session, or it has expired."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class SessionExists(SessionError):
    """A session with this id lives already."""


class SessionGone(SessionError):
    """The session was deleted or expired (and perhaps born again) since this work began."""


class NotHandedOver(SessionError):
    """The conversation is not handed over to a person (any more); nothing was written."""


class TurnNotFound(SessionGone):
    """The session knows no turn of this id, or has forgotten its outcome."""


class WrongUser(SessionError, PermissionError):
    """The session belongs to another user."""


class Erased(SessionError):
    """The user, or the session, was erased on request; nothing is written for it any more."""


class AssistantError(HoldfastError):
    """A part of the assistant failed; the conversation goes on without it."""


class ToolError(AssistantError):
    """A tool raised an error, gave no answer in time, or returned what its task has no reply for.

    Attributes:
        reason: ``not_allowed``, ``arguments``, ``timeout``, ``raised``, ``result`` (too large, or of no type that can be kept), or
            "" for anything else.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(AssistantError):
    """The language model gave no usable answer.

    Attributes:
        reason: ``timeout``, ``unreachable``, ``refused``, ``garbled``, ``cut_off``, ``empty``, or ``budget`` (it was not asked).
        request: whether it lies in what was asked, so that other requests may well be answered.
    """

    def __init__(self, message: str, reason: str, *, request: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.request = request


class ExamplesUnusable(HoldfastError, ValueError):
    """Example sentences from which no intents can be learned, or on which none can be measured; names the place."""


class TurnError(HoldfastError):
    """A turn could not be run or committed."""


class TurnFinished(TurnError):
    """The turn id is finished already.

    Attributes:
        outcome: the stored `holdfast.Outcome`.
    """

    def __init__(self, outcome: Any) -> None:
        super().__init__("this turn is finished already; its outcome is attached")
        self.outcome = outcome


class TurnFailed(TurnError):
    """The turn was given up after its last attempt.

    Attributes:
        outcome: the stored `holdfast.Outcome`.
    """

    def __init__(self, message: str, outcome: Any) -> None:
        super().__init__(message)
        self.outcome = outcome


class TurnAbandoned(TurnError):
    """Raised by a handler that sees no use in further attempts: its turn has failed for good, at once."""


class TurnParked(TurnError):
    """The turn waits for something outside (`holdfast.Turn.wait_for`); no node holds it meanwhile.

    Attributes:
        turn_id: which turn.
        waiting_for: the signal's name; "" where another node knows it.
        left: seconds after which it goes on without.
    """

    def __init__(self, message: str, turn_id: str, waiting_for: str, left: float) -> None:
        super().__init__(message)
        self.turn_id = turn_id
        self.waiting_for = waiting_for
        self.left = left


class SignalTimeout(TurnError, TimeoutError):
    """What a turn waited for was not signalled in time."""


class TurnMismatch(TurnError):
    """The same turn id was used before with another input."""


class TurnBusy(TurnError):
    """Another turn of this session is running and the policy is ``reject``."""


class QueueTimeout(TurnError, TimeoutError):
    """The turn waited its full time for the session and was withdrawn; it did not run."""


class TurnOvertaken(TurnError):
    """Another holder has this turn or session now; nothing of this attempt was written."""


class TurnConflict(TurnError):
    """The commit's base was overtaken.

    Attributes:
        names: the state keys that both sides changed; empty for a strict base.
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class StepMisuse(TurnError):
    """Two steps of a turn have one name, or a step's result cannot be journaled."""


class KnowledgeError(HoldfastError):
    """Documents could not be read, indexed or searched."""


class KnowledgeMissing(KnowledgeError, FileNotFoundError):
    """There is no such folder, file, document or index."""


class UnreadableDocument(KnowledgeError):
    """A document could not be read; the others are not concerned.

    Attributes:
        document: its name.
        reason: why, without the name.
    """

    def __init__(self, document: str, reason: str) -> None:
        super().__init__(f"{document}: {reason}")
        self.document = document
        self.reason = reason


class UnsupportedDocument(UnreadableDocument):
    """There is no reader for this kind of file, or it is not text at all."""


class EncryptedDocument(UnreadableDocument):
    """The document asks for a password."""


class EmptyDocument(UnreadableDocument):
    """The document holds no text: an empty file, or a scan without a text layer."""


class IndexUnusable(KnowledgeError):
    """The file is not a knowledge index, is damaged, or was written by a newer release."""


class IndexBusy(KnowledgeError, TimeoutError):
    """Another process went on writing to the index past the deadline; nothing was changed."""


class EmbeddingError(KnowledgeError):
    """Texts could not be turned into vectors; a search goes on without them.

    Attributes:
        reason: ``timeout``, ``unreachable``, ``refused`` or ``garbled``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class KnowledgeClosed(KnowledgeError):
    """This index was closed by its owner."""
