"""``holdfast turns ls --handover``, ``reply`` and ``resume``; ``holdfast sessions show --trace``."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest
from command_line import cli

from holdfast import open_store
from holdfast.assistant.building import build_assistant
from holdfast.assistant.persons import HANDLER
from holdfast.config import load_config
from store_nodes import url_of


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


async def say(url: str, tenant: str, *texts: str) -> list[str]:
    """The last reply, and the log."""
    assistant = await build_assistant(load_config(overrides={"knowledge": {"index": "", "folders": []}}))
    async with open_store(url, tenant=tenant) as store:
        store.handlers.register(HANDLER, assistant)
        for number, text in enumerate(texts):
            await store.run_turn("s", HANDLER, input=text, turn_id=f"t-{number}-{text[:3]}", user="u")
            await store.read_trace("s", f"t-{number}-{text[:3]}")
        log = [message.content async for message in store.messages("s")]
    await assistant.aclose()
    return log


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HOLDFAST_STORE"):
        monkeypatch.delenv(name, raising=False)


def test_a_person_answers_from_the_shell(url: str, tenant: str) -> None:
    where = ["--store", url, "--tenant", tenant]
    asyncio.run(say(url, tenant, "hello", "talk to a human"))
    row = json.loads(cli("turns", "ls", "--handover", "--json", *where).out)
    assert (row["session"], row["user"], row["reason"], row["answered"]) == ("s", "u", "asked for a person", False)
    assert "asked for a person" in cli("turns", "ls", "--handover", *where).out
    for _ in range(2):
        said = json.loads(
            cli("turns", "reply", "s", "Good day", "--name", "Li", "--turn-id", "p", "--json", *where).out
        )
        assert said["turn"] == "p"
    assert json.loads(cli("turns", "ls", "--handover", "--json", *where).out)["answered"]
    assert "given back" in cli("turns", "resume", "s", *where).out
    assert "Nobody waits" in cli("turns", "ls", "--handover", *where).out
    refused = cli("turns", "reply", "s", "more", *where)
    assert refused.code == 1
    assert "not handed over" in refused.err
    log = asyncio.run(say(url, tenant, "thanks"))
    assert [text for text in log if text][3:5] == [
        "All right, I am passing you on to a person, who will answer you here.",
        "Good day",
    ]
    assert log[-1].startswith("You're welcome")


def test_how_turns_were_answered(url: str, tenant: str) -> None:
    where = ["--store", url, "--tenant", tenant]
    asyncio.run(say(url, tenant, "hello", "where is my order?"))
    traces = json.loads(cli("sessions", "show", "s", "--trace", "--json", *where).out)["traces"]
    assert [trace["turn"] for trace in traces] == ["t-0-hel", "t-1-whe"]
    (attempt,) = traces[0]["attempts"]
    assert attempt["entries"][0]["kind"] == "understanding"
    shown = cli("sessions", "show", "s", "--trace", *where).out
    assert "Turn t-1-whe" in shown
    assert "understanding" in shown
    assert "Turn" not in cli("sessions", "show", "s", *where).out
