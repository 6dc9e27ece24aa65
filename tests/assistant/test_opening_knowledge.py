"""The config's collections, opened and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.assistant.opening_knowledge import documents_of, open_knowledge
from holdfast.config import load_config
from holdfast.errors import ConfigError, KnowledgeMissing

pytestmark = pytest.mark.usefixtures("no_settings_around")


@pytest.fixture
def no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(tmp_path: Path, **more: Any) -> dict[str, Any]:
    for folder, text in (("docs", "Express delivery costs nine dollars."), ("staff", "Staff have 28 days of holiday.")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.md").write_text(f"# {folder}\n\n{text}\n")
    collections = {"staff": {"folders": [str(tmp_path / "staff")], "passages": 2, "threshold": 0.1}}
    knowledge = {"index": str(tmp_path / "k.db"), "folders": [str(tmp_path / "docs")], "collections": collections}
    return {"knowledge": {**knowledge, **more}}


async def test_the_folders_of_each_collection_are_read_into_it(tmp_path: Path) -> None:
    config = load_config(overrides=settings(tmp_path))
    told: list[tuple[int, int]] = []
    knowledge = await open_knowledge(config, lambda done, of: told.append((done, of)))
    assert knowledge is not None
    assert told == [(1, 2), (2, 2)]
    documents = documents_of(config, knowledge)
    assert documents is not None
    assert (await documents.search("how many days of holiday", [])).quotes[0].collection == "staff"
    assert (await documents.search("what does express delivery cost", [])).quotes[0].collection == ""
    only = await documents.search("how many days of holiday", [], collections=["default"])
    assert not only.relevant
    followed = await documents.search("and for express?", ["What does delivery cost?"])
    assert followed.query == "and for express?\nWhat does delivery cost?"
    await knowledge.close()


async def test_without_documents_of_its_own_the_default_collection_is_not_needed(tmp_path: Path) -> None:
    knowledge = await open_knowledge(load_config(overrides=settings(tmp_path, folders=[])))
    assert knowledge is not None
    assert list(knowledge.members) == ["staff"]
    await knowledge.close()


async def test_embeddings_that_cannot_be_reached_do_not_hold_up_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embeddings = {"name": "tiny", "base_url": "http://127.0.0.1:9/v1", "batch_timeout": "2s", "timeout": "1s"}
    knowledge = await open_knowledge(load_config(overrides=settings(tmp_path, embeddings=embeddings)))
    assert knowledge is not None
    assert "searched by words alone" in caplog.text
    found = await knowledge.retrieve("express delivery")
    assert found.hits[0].passage.document == "a.md"
    assert any("tiny" in reason for reason in found.degraded)
    await knowledge.close()


@pytest.mark.parametrize("name", ["FAQ", "a.b", "default", "", "a/b"])
def test_a_collections_name_has_to_fit_a_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"knowledge\.collections"):
        load_config(overrides={"knowledge": {"collections": {name: {}}}})


def test_a_collections_folders_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text('[knowledge.collections.faq]\nfolders = ["faq"]\n')
    config = load_config(tmp_path / "holdfast.toml")
    assert config.knowledge.collections["faq"].folders == (tmp_path / "faq",)


async def test_a_collection_without_folders_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeMissing):
        await open_knowledge(load_config(overrides=settings(tmp_path, collections={"gone": {}})))
