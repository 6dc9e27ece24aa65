"""The generic webhook: what is refused, what is answered, and what becomes of a reply that is not taken."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any

import pytest
from channel_kit import OTHER, SECRET, generic, message, platform, sent, served_channel
from server_kit import Served, kind

from holdfast.errors import ConfigError, TurnParked
from holdfast.server.app import node_of
from holdfast.server.channels.contract import BadSignature
from holdfast.server.channels.signing import HEADER, check, signature
from holdfast.turns.failures import Failure
from holdfast.turns.turn import Turn
from store_nodes import eventually

NOWHERE = "http://127.0.0.1:9/replies"


async def failed(node: Served) -> list[Failure]:
    """Deliveries that failed for good."""
    return [failure async for failure in node.store.deliveries.failures.list()]


async def accepted(node: Served) -> int:
    """Turns that were accepted and have not ended, as far as nobody holds them."""
    return len(await node.store.backend.overdue())


# --- what comes in ---


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "v1=00",
        "t=99999999999999999999999,v1=00",
        "t=１２,v1=00",
        "\xff",
        "t=1" + ",v1=00" * 1000,
        None,
    ],
)
async def test_what_is_not_signed_is_refused(header: str | None) -> None:
    async with served_channel(generic(NOWHERE)) as node:
        of_another_body = signature(b"{}", [SECRET], time.time())
        headers = {HEADER: (of_another_body if header is None else header).encode()}
        reply = await node.http.post("/v1/channels/webhook/shop", content=b'{"text": 1}', headers=headers)  # type: ignore[arg-type]
        assert (reply.status_code, kind(reply)) == (401, "bad-signature")
        assert await accepted(node) == 0


@pytest.mark.parametrize("off", [-301, 301])
async def test_a_signature_of_another_time_is_refused(off: float) -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        reply = await sent(node.http, message("say yes"), at=time.time() + off)
        assert (reply.status_code, kind(reply)) == (401, "bad-signature")
        assert (await sent(node.http, message("say yes"), at=time.time() + off * 0.95)).status_code == 200


async def test_secrets_can_be_changed_without_a_break() -> None:
    """Both sides take either, and replies are signed under both."""
    async with platform() as chat, served_channel(generic(chat.url, secrets=[OTHER, SECRET])) as node:
        assert (await sent(node.http, message("say one", "m-1"), secret=SECRET)).status_code == 200
        assert (await sent(node.http, message("say two", "m-2"), secret=OTHER)).status_code == 200
        assert (await sent(node.http, message("say two", "m-3"), secret="neither of the two")).status_code == 401
        assert sorted(reply["text"] for reply in await chat.has(2)) == ["one", "two"]


def test_every_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        nonlocal compared
        compared += 1
        return bool(compare(one, other))

    monkeypatch.setattr(hmac, "compare_digest", counted)
    check(signature(b"x", [SECRET, OTHER], 1000), b"x", [SECRET, OTHER], now=1000, tolerance=1)
    assert compared == 4
    with pytest.raises(BadSignature):
        check(signature(b"x", [SECRET], 1000), b"y", [SECRET], now=1000, tolerance=1)


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"{", 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (b"[]", 422, "invalid-request"),
        ({"message_id": "m", "session": "s"}, 422, "invalid-request"),
        (message("say x", ""), 422, "invalid-request"),
        (message("say x", "x" * 257), 422, "invalid-request"),
        (message("  "), 422, "invalid-request"),
        (message("x" * 8001), 422, "invalid-request"),
        (b'{"message_id": "\\ud800", "session": "s", "text": "x"}', 400, "malformed"),
        (b" " * 70_000, 413, "body-too-large"),
    ],
)
async def test_what_cannot_be_read_is_a_problem(body: Any, status: int, slug: str) -> None:
    async with served_channel(generic(NOWHERE)) as node:
        reply = await sent(node.http, body)
        assert (reply.status_code, kind(reply)) == (status, slug)
        assert await accepted(node) == 0


async def test_an_id_with_another_message_is_refused() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        assert (await sent(node.http, message("say yes"))).status_code == 200
        reply = await sent(node.http, message("say no"))
        assert (reply.status_code, kind(reply)) == (422, "turn-mismatch")
        await chat.has(1)
        assert (await sent(node.http, message("say no"))).status_code == 422
        assert (await sent(node.http, message("say yes"))).status_code == 200
        assert node.assistant.calls == ["say yes"]


async def test_there_is_nothing_else_at_these_paths() -> None:
    async with served_channel(generic(NOWHERE)) as node:
        for path in ("/v1/channels/webhook/other", "/v1/channels/webhook/x"):
            for method in ("POST", "GET"):
                reply = await node.http.request(method, path)
                assert (reply.status_code, kind(reply)) == (404, "channel-not-found")
        reply = await node.http.get("/v1/channels/webhook/shop")
        assert (reply.status_code, kind(reply)) == (405, "method-not-allowed")


async def test_the_signature_stands_in_for_the_access_key_here_and_nowhere_else() -> None:
    async with (
        platform() as chat,
        served_channel(generic(chat.url), server={"access_keys": ["the-key"]}) as node,
    ):
        assert (await sent(node.http, message("say yes"))).status_code == 200
        assert (await node.http.post("/v1/channels/webhook/shop")).status_code == 401
        for path in ("/v1/sessions?user=u", "/v1/channels/webhook", "/v1/channels", "/v1/info"):
            assert kind(await node.http.get(path)) == "unauthorized"
        operation = (await node.http.get("/openapi.json")).json()["paths"]["/v1/channels/webhook/{name}"]["post"]
        assert operation["security"] == []


async def test_a_node_that_stops_takes_messages_and_leaves_them_to_others() -> None:
    async with served_channel(generic(NOWHERE)) as node:
        node_of(node.app).desk.draining = True
        assert (await sent(node.http, message("say yes"))).status_code == 200
        await asyncio.sleep(0.3)
        assert node.assistant.calls == []
        assert [turn.attempt for turn in await node.store.backend.overdue()] == [0]


# --- what becomes of it ---


async def test_messages_of_one_conversation_go_on_in_one_session_that_nobody_can_guess() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        for number in (1, 2):
            await sent(node.http, message(f"say {number}", f"m-{number}", user="ann"))
            await chat.has(number)
        await sent(node.http, {"message_id": "m-1", "session": "chat-18", "text": "say 3", "user": "ann"})
        await chat.has(3)
        assert [reply["text"] for reply in chat.replies] == ["1", "2", "3"]
        sessions = (await node.http.get("/v1/sessions?user=ann")).json()["sessions"]
        assert sorted(session["messages"] for session in sessions) == [2, 4]
        assert all(len(session["id"]) == 43 for session in sessions)
        assert len([one async for one in node.store.scan()]) == 2


async def test_a_reply_that_is_refused_has_failed_and_can_be_tried_anew_under_the_same_key() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        chat.answers = [410]
        await sent(node.http, message("say yes"))
        await eventually(lambda: bool(chat.replies))
        await asyncio.sleep(0.4)
        assert len(chat.replies) == 1
        (failure,) = await failed(node)
        assert failure.error == "TurnAbandoned: channel shop: not delivered after 1 tries; the last one: 410"
        assert (failure.turn_id, failure.handler, failure.attempts) == ("m-1", "channel:shop", 1)
        assert await node.store.deliveries.failures.retry(failure.session_id, "m-1") == "m-1~2"
        await chat.has(2)
        assert len(set(chat.keys)) == 1
        assert node.assistant.calls == ["say yes"]
        await asyncio.sleep(0.2)
        assert await failed(node) == []


@pytest.mark.parametrize("status", [302, 400, 404])
async def test_what_would_not_be_other_the_next_time_is_not_tried_again(status: int) -> None:
    async with platform() as chat, platform() as elsewhere, served_channel(generic(chat.url)) as node:
        chat.answers, chat.headers = [status], {"Location": elsewhere.url}
        await sent(node.http, message("say yes"))
        await chat.has(1)
        await asyncio.sleep(0.4)
        assert (len(chat.replies), len(elsewhere.replies), len(await failed(node))) == (1, 0, 1)


async def test_a_platform_that_is_busy_is_asked_again_after_growing_pauses() -> None:
    async with platform() as chat, served_channel(generic(chat.url, first_pause=0.2)) as node:
        chat.answers = [500, 429, 408]
        await sent(node.http, message("say yes"))
        await chat.has(4)
        pauses = [later - earlier for earlier, later in zip(chat.times, chat.times[1:], strict=False)]
        assert all(pause >= 0.9 * 0.2 * 2**number for number, pause in enumerate(pauses))
        assert await failed(node) == []


async def test_it_is_asked_when_it_says() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        chat.answers, chat.headers = [503], {"Retry-After": "1"}
        await sent(node.http, message("say yes"))
        await chat.has(2)
        assert chat.times[1] - chat.times[0] >= 0.95


async def test_after_the_last_try_the_delivery_has_failed() -> None:
    async with served_channel(generic(NOWHERE, tries=3)) as node:
        await sent(node.http, message("say yes"))
        async with asyncio.timeout(10):
            while not await failed(node):  # noqa: ASYNC110 (the store is asked)
                await asyncio.sleep(0.05)
        (failure,) = await failed(node)
        assert failure.error.endswith("not delivered after 3 tries; the last one: ConnectError")
        assert node.assistant.calls == ["say yes"]


async def test_a_platform_that_never_answers_is_given_up_for_this_time() -> None:
    async with platform() as chat, served_channel(generic(chat.url, timeout=0.2)) as node:

        async def slow() -> None:
            await asyncio.sleep(0.5 if len(chat.replies) == 1 else 0)

        chat.on_reply = slow
        await sent(node.http, message("say yes"))
        await chat.has(2)
        assert len(set(chat.keys)) == 1  # it may have been taken the first time: the key says that it is the same


async def test_a_turn_that_fails_tells_its_text() -> None:
    async with platform() as chat, served_channel(generic(chat.url), max_attempts=2) as node:
        node.store.failure_text = lambda turn: "Sorry."
        await sent(node.http, message("raise"))
        (reply,) = await chat.has(1)
        assert (reply["text"], reply["status"]) == ("Sorry.", "failed")
        assert node.assistant.calls == ["raise", "raise"]


async def test_a_turn_that_is_cancelled_tells_what_it_had_said() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        await sent(node.http, message("hold a", user="ann"))
        await eventually(lambda: node.assistant.calls == ["hold a"])
        (session,) = (await node.store.by_user("ann")).ids
        await node.store.cancel_turn(session, "m-1", "assistant")
        (reply,) = await chat.has(1)
        assert (reply["text"], reply["status"]) == ("hold: ", "cancelled")


async def test_a_turn_that_waits_for_somebody_is_delivered_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        waiting: list[str] = []

        async def ask(turn: Turn) -> None:
            waiting.append(turn.session.id)
            turn.reply(f"approved by {await turn.wait_for('approval')}")

        monkeypatch.setattr(type(node.assistant), "__call__", lambda self, turn: ask(turn))
        await sent(node.http, message("write to Ann"))
        await eventually(lambda: bool(waiting))
        await asyncio.sleep(0.2)
        with pytest.raises(TurnParked):
            await node.store.run_turn(waiting[0], "assistant", input="write to Ann", turn_id="m-1")
        assert node.store.leases.count == 0  # neither it nor its delivery is held
        await node.store.signal(waiting[0], "approval", "Bob")
        assert (await chat.has(1))[0]["text"] == "approved by Bob"


async def test_a_conversation_of_somebody_else_is_not_gone_on_with() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        await sent(node.http, message("say yes", user="ann"))
        await chat.has(1)
        await sent(node.http, message("say no", "m-2", user="bob"))
        async with asyncio.timeout(5):
            while not await failed(node):  # noqa: ASYNC110 (the store is asked)
                await asyncio.sleep(0.05)
        assert "WrongUser" in (await failed(node))[0].error
        assert node.assistant.calls == ["say yes"]


# --- adapters of one's own ---


class Half:
    """Made by a path, and no channel."""

    def __init__(self, setup: Any) -> None:
        self.accepted = None

    async def receive(self, arrived: Any) -> None: ...


@pytest.mark.parametrize(
    ("kind_", "says"),
    [
        ("telegraph", 'channels.shop.kind = "telegraph" is no channel; there are: generic, wechat'),
        ("no.such:thing", "cannot be imported"),
        (f"{__name__}:Half", "made Half, which lacks parts, deliver"),
    ],
)
async def test_a_kind_that_is_none_is_an_error(kind_: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        async with served_channel({"kind": kind_}):
            pass
