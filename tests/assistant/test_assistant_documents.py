"""The sample assistant as it ships: its documents read into an index, asked in both languages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from talking import Conversation

from holdfast import open_store
from holdfast.assistant.building import build_assistant
from holdfast.assistant.opening_knowledge import open_knowledge
from holdfast.config import load_config
from holdfast.errors import KnowledgeMissing


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index") / "knowledge.db"


@pytest.fixture
async def chat(index: Path, no_settings_around: None) -> AsyncIterator[Conversation]:
    assistant = await build_assistant(load_config(overrides={"knowledge": {"index": str(index)}}))
    async with open_store("memory:") as store:
        yield Conversation(assistant, [store])
    await assistant.aclose()


@pytest.mark.parametrize(
    ("question", "folder"),
    [
        ("买了几天之内可以退货?", "zh/"),
        ("运费怎么算?", "zh/"),
        ("How long do I have to return an item?", "en/"),
        ("How much does shipping cost?", "en/"),
    ],
)
async def test_a_question_is_answered_from_the_samples_documents(
    chat: Conversation, question: str, folder: str
) -> None:
    outcome = await chat.turn(question)
    assert outcome.messages[-1].metadata["mode"] == "extractive"
    citations = outcome.messages[-1].citations
    assert citations[0].document.startswith(folder)
    assert all(citation.quote in outcome.reply for citation in citations)


@pytest.mark.parametrize("question", ["明天巴黎的天气怎么样?", "Who won the world cup in 1998?"])
async def test_a_question_that_the_documents_do_not_answer(chat: Conversation, question: str) -> None:
    outcome = await chat.turn(question)
    assert outcome.messages[-1].metadata["mode"] == "nothing"


async def test_the_whole_sample_dialogue(chat: Conversation) -> None:
    await chat.say("你好,帮我查一下订单")
    assert "2 个订单" in await chat.say("１３８ ００００ １２３４")
    reply = await chat.say("退货的运费谁出?")
    assert "[1]" in reply and reply.endswith("2. HF20987 · 机械键盘")
    assert "HF20931" in await chat.say("第一个")
    assert "HF20987" in await chat.say("不对,是另一个订单")
    assert "HF20931" in await chat.say("no, the other order")


async def test_an_index_without_folders_has_to_be_there(tmp_path: Path, no_settings_around: None) -> None:
    config = load_config(overrides={"knowledge": {"index": str(tmp_path / "none.db"), "folders": []}})
    with pytest.raises(KnowledgeMissing):
        await build_assistant(config)


async def test_a_folder_has_to_be_there(tmp_path: Path, no_settings_around: None) -> None:
    config = load_config(
        overrides={"knowledge": {"index": str(tmp_path / "i.db"), "folders": [str(tmp_path / "none")]}}
    )
    with pytest.raises(KnowledgeMissing, match="none"):
        await open_knowledge(config)


async def test_a_broken_document_is_named_and_left_out(
    tmp_path: Path, no_settings_around: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good.md").write_text("# Opening hours\n\nThe shop is open from nine to five.")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 nonsense")
    overrides: dict[str, Any] = {"knowledge": {"index": str(tmp_path / "i.db"), "folders": [str(tmp_path)]}}
    index = await open_knowledge(load_config(overrides=overrides))
    assert index is not None
    assert [document.name for document in await index.documents()] == ["good.md"]
    await index.close()
    assert "bad.pdf" in caplog.text
