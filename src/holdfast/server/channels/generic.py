"""The generic webhook: JSON in, JSON out to a fixed URL, both signed in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from holdfast.server.channels.contract import Answer, Arrived, BadMessage, Delivery, Inbound, Malformed, Outbound, Setup
from holdfast.server.channels.sending import delivery_of, post
from holdfast.server.channels.signing import HEADER, check, signature
from holdfast.sessions.ids import MAX_ID

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]


class WebhookMessage(msgspec.Struct):
    """What a platform sends. ``reply_to`` comes back with the reply. Fields that are not known are passed over."""

    message_id: _Id
    session: _Id
    text: Annotated[str, msgspec.Meta(min_length=1)]
    user: Annotated[str, msgspec.Meta(max_length=MAX_ID)] = ""
    reply_to: Annotated[str, msgspec.Meta(max_length=4096)] = ""


class WebhookReply(msgspec.Struct):
    """What it gets. ``status``: completed, cancelled or failed."""

    message_id: str
    session: str
    user: str
    reply_to: str
    text: str
    status: str


_decode: Final = msgspec.json.Decoder(WebhookMessage).decode
_encode: Final = msgspec.json.Encoder().encode


class GenericChannel:
    """`Channel` over the two shapes above."""

    accepted = Answer(b'{"accepted":true}', "application/json")

    def __init__(self, setup: Setup) -> None:
        self._config = setup.config
        self._secrets = setup.config.all_secrets
        self._http = setup.http
        self._clock = setup.clock

    async def receive(self, arrived: Arrived) -> Inbound:
        given = arrived.headers.get(HEADER.lower(), "")
        check(given, arrived.body, self._secrets, now=self._clock(), tolerance=self._config.tolerance)
        try:
            message = _decode(arrived.body)
        except msgspec.ValidationError as error:  # names the place, never the value
            raise BadMessage(f"The body does not fit: {error}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Malformed("The body is not JSON in UTF-8.") from None
        return Inbound(message.message_id, message.session, message.text, message.user, message.reply_to)

    def parts(self, text: str) -> Sequence[str]:
        return (text,)

    async def deliver(self, outbound: Outbound) -> Delivery:
        of = outbound.inbound
        body = _encode(WebhookReply(of.message_id, of.session, of.user, of.reply_to, outbound.text, outbound.status))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": outbound.key,
            HEADER: signature(body, self._secrets, self._clock()),
        }
        config = self._config
        return delivery_of(await post(self._http, config.callback_url, body, headers, config.timeout))
