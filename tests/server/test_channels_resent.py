"""Messages that are sent again, nodes that die, platforms that are away: one model call, one reply."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from channel_kit import calls, channel_node, message, platform, sent

from holdfast.testing.places import free_port
from store_nodes import SOAK, Figures, eventually, url_of

Scale = Callable[[int], int]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """ "" is the SQLite file that the nodes share by themselves."""
    return "" if request.param == "sqlite" else url_of("redis", request, tmp_path)


async def test_resent_three_times_during_a_model_call_is_one_call_and_one_reply(
    url: str, tmp_path: Path, scale: Scale, figures: Figures
) -> None:
    """12 s and 5 s in the long run; else a quarter of both. Alternately to two nodes, as a load balancer does."""
    slow, every = (12.0, 5.0) if SOAK else (3.0, 1.25)
    asked = message(f"slow {slow}", user="ann", reply_to="thread 4")
    longest = 0.0
    async with platform() as chat:
        async with (
            channel_node(tmp_path, chat.url, store=url) as one,
            channel_node(tmp_path, chat.url, node="node-1", store=url) as other,
        ):
            for number, node in enumerate((one, other, one, other)):
                started = time.monotonic()
                reply = await sent(node, asked)
                took = time.monotonic() - started
                longest = max(longest, took)
                assert (reply.status_code, reply.json()) == (200, {"accepted": True})
                if number < 3:
                    await asyncio.sleep(every - took)
            await chat.has(1, within=slow + 10)
            assert (await sent(other, asked)).status_code == 200
            await asyncio.sleep(1.5)
        assert calls(tmp_path) == [f"m-1 slow {slow}"]
        assert chat.replies == [
            {
                "message_id": "m-1",
                "session": "chat-17",
                "user": "ann",
                "reply_to": "thread 4",
                "text": f"echo: slow {slow}",
                "status": "completed",
            }
        ]
    backend = "redis" if url else "sqlite"
    figures("webhook", backend, resent=3, model_calls=1, replies=1, slowest_200_ms=round(longest * 1000))


async def test_a_node_killed_between_the_turn_and_the_delivery_leaves_it_to_another(url: str, tmp_path: Path) -> None:
    async with platform() as chat:
        chat.answers = [503, 503]
        async with channel_node(tmp_path, chat.url, store=url, channel={"first_pause": 1, "longest_pause": 2}) as one:
            await sent(one, message("hello"))
            await chat.has(1)  # the turn is committed, its delivery is not
            one.signal(signal.SIGKILL)
        async with channel_node(tmp_path, chat.url, node="node-1", store=url) as other:
            await chat.has(3)
            await asyncio.sleep(1)
            assert (await sent(other, message("hello"))).status_code == 200
        assert calls(tmp_path) == ["m-1 hello"]
        assert [reply["text"] for reply in chat.replies] == ["echo: hello"] * 3
        assert len(set(chat.keys)) == 1


async def test_a_node_killed_during_the_model_call_is_followed_by_another(url: str, tmp_path: Path) -> None:
    async with platform() as chat, channel_node(tmp_path, chat.url, node="node-1", store=url) as other:
        async with channel_node(tmp_path, chat.url, store=url) as one:
            await sent(one, message("slow 1.5"))
            await eventually(lambda: len(calls(tmp_path)) == 1)
            one.signal(signal.SIGKILL)  # either may have taken it: the reply is one all the same
        await chat.has(1)
        await asyncio.sleep(1)
        assert [reply["text"] for reply in chat.replies] == ["echo: slow 1.5"]
        assert len(calls(tmp_path)) <= 2
        assert (await sent(other, message("slow 1.5"))).status_code == 200


async def test_a_callback_that_is_away_for_a_while_gets_its_reply_once(tmp_path: Path) -> None:
    """A lease of a minute: had the node that is killed held the turn meanwhile, nobody could have gone on so soon."""
    away = {"first_pause": 0.5, "longest_pause": 1, "tries": 50}
    port = free_port()
    url = f"http://127.0.0.1:{port}/replies"
    async with channel_node(tmp_path, url, channel=away, HOLDFAST_STORE__LEASE="60") as one:
        await sent(one, message("hello"))
        await eventually(lambda: b"was not taken: ConnectError" in one.log.read_bytes())
        await asyncio.sleep(0.2)
        one.signal(signal.SIGKILL)
    async with channel_node(tmp_path, url, node="node-1", channel=away, HOLDFAST_STORE__LEASE="60") as other:
        await eventually(lambda: other.log.read_bytes().count(b"was not taken: ConnectError") >= 2)
        async with platform(port) as chat:
            await chat.has(1)
            await asyncio.sleep(1.5)
        assert len(chat.replies) == 1
        assert calls(tmp_path) == ["m-1 hello"]


async def test_a_node_that_is_stopped_ends_what_it_has_begun(tmp_path: Path) -> None:
    async with platform() as chat, channel_node(tmp_path, chat.url) as one:
        await sent(one, message("slow 1.5"))
        await eventually(lambda: len(calls(tmp_path)) == 1)
        one.signal(signal.SIGTERM)
        assert await one.ended(8) == 0
        assert [reply["text"] for reply in chat.replies] == ["echo: slow 1.5"]
        assert len(calls(tmp_path)) == 1
