"""What an adapter to a chat platform does. `docs/channels.md` shows one of your own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from holdfast.assistant.texts import Texts
from holdfast.config import ChannelSection, Language

if TYPE_CHECKING:
    import httpx


class BadSignature(Exception):
    """The request is not signed as the platform signs, or too long ago. Answered with 401; the text is not told."""


class BadMessage(Exception):
    """The request is signed, and cannot be understood. Answered with 422 and this text, which repeats nothing of the message."""


class Malformed(BadMessage):
    """Not even well-formed. Answered with 400."""


class Arrived(msgspec.Struct, frozen=True):
    """A request as it came. Names of ``headers`` are in lower case; ``query`` is decoded."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


class Inbound(msgspec.Struct, frozen=True):
    """A user's message.

    Attributes:
        message_id: the same whenever the platform sends it again; 1 to 256 characters. It becomes the turn's id.
        session: the platform's name of the conversation.
        text: what the user says.
        user: whose conversation it is; "" for one that several share.
        reply_to: whatever `Channel.deliver` needs to find the place again.
    """

    message_id: str
    session: str
    text: str
    user: str = ""
    reply_to: str = ""


class Outbound(msgspec.Struct, frozen=True):
    """A reply, or one part of it, on its way out.

    Attributes:
        text: may be Markdown. status: the turn's: "completed", "cancelled" or "failed".
        key: the same on every try: whoever gets it twice does nothing the second time.
    """

    inbound: Inbound
    text: str
    status: str
    key: str


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered with at once, with 200."""

    body: bytes
    media_type: str = "text/plain; charset=utf-8"


class Delivery(msgspec.Struct, frozen=True):
    """What became of one try.

    Attributes:
        ok: it has arrived. final: it has not, and further tries are of no use.
        told: what the platform said, for the log and the operator: "503", "errcode 45015". No message text.
        after: seconds that the platform asks to wait.
    """

    ok: bool
    final: bool = False
    told: str = ""
    after: float = 0.0


class Channel(Protocol):
    """One chat platform. It holds nothing of any conversation: any node may receive, any other deliver."""

    accepted: Answer
    """What a message is answered with once it is safe."""

    async def receive(self, arrived: Arrived) -> Inbound | Answer:
        """Checks the signature first, then reads the message; an `Answer` where no turn is needed.

        Equal messages have to come out equal: the same id with another content is refused. Raises `BadSignature`, `BadMessage`.
        """
        ...

    def parts(self, text: str) -> Sequence[str]:
        """The reply as messages that the platform takes, delivered one by one, in order; none where there is nothing to send."""
        ...

    async def deliver(self, outbound: Outbound) -> Delivery:
        """One try, within the channel's ``timeout``. A failure is a `Delivery` too; an exception fails the turn's attempt."""
        ...


@runtime_checkable
class Greets(Protocol):
    """A channel whose platform first asks, by GET, whether somebody is there."""

    def greet(self, arrived: Arrived) -> Answer:
        """The answer. Raises `BadSignature`, `BadMessage`."""
        ...


@dataclass(frozen=True)
class Setup:
    """What an adapter is made of. One of your own is made by a function or class that takes it and returns the `Channel`.

    Attributes:
        name, config: of its section. texts, languages: of the assistant.
        http: the node's client, which follows no redirects; not the adapter's to close. clock: seconds since the epoch.
    """

    name: str
    config: ChannelSection
    texts: Texts
    languages: tuple[Language, ...]
    http: httpx.AsyncClient
    clock: Callable[[], float] = time.time


Factory = Callable[[Setup], Channel]
