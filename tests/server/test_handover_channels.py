"""A person's words reach a user who is on a chat platform, once, whichever node or shell they are said at."""

from __future__ import annotations

import channel_kit
import pytest
from channel_kit import generic, message, platform, sent, served_channel
from server_kit import kind

from holdfast import Store
from holdfast.assistant.building import build_assistant
from holdfast.assistant.persons import HANDLER, Persons
from holdfast.assistant.texts import Texts
from holdfast.cli.handover import persons_of
from holdfast.config import load_config
from holdfast.errors import StoreError


@pytest.fixture(autouse=True)
async def real_assistant(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HOLDFAST_STORE"):
        monkeypatch.delenv(name, raising=False)
    assistant = await build_assistant(load_config(overrides={"knowledge": {"index": "", "folders": []}}))
    monkeypatch.setattr(channel_kit, "Scripted", lambda: assistant)


async def test_a_persons_words_reach_the_platform() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        await sent(node.http, message("talk to a human", "m-1"))
        await chat.has(1)
        await sent(node.http, message("hello?", "m-2"))  # nothing is sent for it
        (waiting,) = (await node.http.get("/v1/handovers")).json()["handovers"]
        path = f"/v1/sessions/{waiting['session_id']}/handover"
        for _ in range(2):
            said = await node.http.post(f"{path}/replies", json={"text": "Yes?"}, headers={"Idempotency-Key": "p-1"})
            assert said.status_code == 200, said.text
        await chat.has(2)
        # a shell knows no channels: it leaves the delivery to a node that does
        elsewhere = Store(node.store.backend, node.store.settings)
        await persons_of(elsewhere).reply(waiting["session_id"], "Still there?", turn_id="p-2")
        await chat.has(3)
        await node.http.post(f"{path}/end", headers={"Idempotency-Key": "e"})
        await chat.has(4)
        await sent(node.http, message("thanks", "m-3"))
        await chat.has(5)
        told = ["Yes?", "Still there?", "You are talking to the assistant again."]
        assert [reply["text"] for reply in chat.replies][1:4] == told
        assert chat.replies[4]["text"].startswith("You're welcome")
        assert {reply["session"] for reply in chat.replies} == {chat.replies[0]["session"]}
        assert kind(await node.http.post(f"{path}/replies", json={"text": "late"})) == "not-handed-over"


async def test_a_node_without_the_channel_leaves_the_reply_to_others() -> None:
    async with platform() as chat, served_channel(generic(chat.url)) as node:
        await sent(node.http, message("talk to a human", "m-1"))
        await chat.has(1)
        (waiting,) = (await node.http.get("/v1/handovers")).json()["handovers"]
        bare = Store(node.store.backend, node.store.settings)
        persons = Persons(bare, Texts({}))
        bare.handlers.register(HANDLER, persons.handle)
        with pytest.raises(StoreError):
            await persons.reply(waiting["session_id"], "Yes?", turn_id="p-1")
        await chat.has(2)  # recovered by the node that serves it
        assert chat.replies[1]["text"] == "Yes?"
