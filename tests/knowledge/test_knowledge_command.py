"""``holdfast knowledge``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from embeddings_server import embeddings_server

pytest.importorskip("typer", reason="the command line is the extra cli")

from typer.testing import CliRunner, Result

from holdfast.cli.knowledge import app
from holdfast.errors import ConfigError, HoldfastError, IndexUnusable, InvalidInput, KnowledgeMissing


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nYou may return goods within 30 days.\n")
    (folder / "退货.txt").write_bytes("签收后七天内可以无理由退货，运费由买家承担。".encode("gb18030"))
    return folder


def call(tmp_path: Path, *args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args), "--index", str(tmp_path / "k.db")])


def as_json(tmp_path: Path, *args: object) -> Any:
    result = call(tmp_path, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_add_list_search_remove(tmp_path: Path, docs: Path) -> None:
    assert as_json(tmp_path, "add", docs)["added"] == ["returns.md", "退货.txt"]
    assert as_json(tmp_path, "add", docs)["unchanged"] == 2
    assert [item["name"] for item in as_json(tmp_path, "ls")] == ["returns.md", "退货.txt"]
    found = as_json(tmp_path, "search", "how many days to return goods")
    assert found["answer"]["quotes"][0]["text"] == "You may return goods within 30 days."
    assert found["hits"][0]["passage"]["document"] == "returns.md"
    assert as_json(tmp_path, "rm", "returns.md") == {"removed": ["returns.md"], "missing": []}
    assert not as_json(tmp_path, "search", "return goods")["answer"]["relevant"]


def test_the_same_for_people(tmp_path: Path, docs: Path) -> None:
    assert "added: 2 (2 passages), unchanged: 0, skipped: 0" in call(tmp_path, "add", docs).stdout
    assert "退货.txt" in call(tmp_path, "ls").stdout
    shown = call(tmp_path, "search", "退货的运费由谁承担？").stdout
    assert "“签收后七天内可以无理由退货，运费由买家承担。”" in shown
    assert "Nothing relevant found" in call(tmp_path, "search", "Who wrote Hamlet?").stdout


def test_unreadable_files_are_named_and_the_rest_is_indexed(tmp_path: Path, docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    result = call(tmp_path, "add", docs)
    assert result.exit_code == 0
    assert "skipped: 1" in result.stdout
    assert "skipped broken.pdf: " in result.stderr
    strict = call(tmp_path, "add", docs, "--strict")
    assert strict.exit_code == 1


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (("add", "/nowhere/at/all"), KnowledgeMissing, "/nowhere/at/all"),
        (("ls",), KnowledgeMissing, "knowledge add"),
        (("search", "x"), KnowledgeMissing, "no knowledge index"),
        (("rm", "x"), KnowledgeMissing, "no knowledge index"),
    ],
)
def test_errors_are_typed(tmp_path: Path, args: tuple[str, ...], error: type[HoldfastError], says: str) -> None:
    result = call(tmp_path, *args)
    assert isinstance(result.exception, error)
    assert says in str(result.exception)


def test_removing_what_is_not_there_fails_after_the_rest(tmp_path: Path, docs: Path) -> None:
    call(tmp_path, "add", docs)
    result = call(tmp_path, "rm", "returns.md", "nothing.md")
    assert isinstance(result.exception, KnowledgeMissing)
    assert [item["name"] for item in as_json(tmp_path, "ls")] == ["退货.txt"]


def test_a_file_that_is_no_index_is_refused(tmp_path: Path, docs: Path) -> None:
    (tmp_path / "k.db").write_text("hello " * 1000)
    assert isinstance(call(tmp_path, "add", docs).exception, IndexUnusable)


def test_eval_prints_what_it_measured(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    qas = [{"question": "How much is express?", "answers": [{"text": "$9", "answer_start": 14}]}]
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "Express costs $9. Good.", "qas": qas}]}]}))
    found = json.loads(CliRunner().invoke(app, ["eval", str(file), "--json"]).stdout)
    assert found["hit_1"] == found["quoted_1"] == 1.0
    assert "hit@1" in CliRunner().invoke(app, ["eval", str(file)]).stdout
    assert isinstance(CliRunner().invoke(app, ["eval", str(tmp_path / "none.json")]).exception, KnowledgeMissing)


def test_collections_are_apart_and_can_be_asked_together(tmp_path: Path, docs: Path) -> None:
    (tmp_path / "staff.md").write_text("# Staff\n\nStaff have 28 days of holiday.\n")
    as_json(tmp_path, "add", docs)
    added = as_json(tmp_path, "add", tmp_path / "staff.md", "--collection", "staff")
    assert (added["collection"], added["added"]) == ("staff", ["staff.md"])
    assert [item["name"] for item in as_json(tmp_path, "ls", "--collection", "staff")] == ["staff.md"]
    assert len(as_json(tmp_path, "ls")) == 2
    listed = as_json(tmp_path, "collections")
    assert [(item["name"], item["documents"]) for item in listed] == [("default", 2), ("staff", 1)]
    assert "k.staff.db" in call(tmp_path, "collections").stdout
    both = ("--collection", "default", "--collection", "staff")
    found = as_json(tmp_path, "search", "how many days of holiday do staff have", *both)
    assert found["answer"]["quotes"][0]["collection"] == "staff"
    assert "staff: staff.md" in call(tmp_path, "search", "how many days of holiday do staff have", *both).stdout
    assert as_json(tmp_path, "rm", "staff.md", "--collection", "staff")["removed"] == ["staff.md"]
    assert len(as_json(tmp_path, "ls")) == 2
    assert isinstance(call(tmp_path, "ls", "--collection", "nobody").exception, KnowledgeMissing)
    assert isinstance(call(tmp_path, "ls", "--collection", "a/b").exception, InvalidInput)


def test_a_single_file_updates_its_document_of_the_folder(tmp_path: Path, docs: Path) -> None:
    (docs / "sub").mkdir()
    (docs / "sub" / "fees.md").write_text("# Fees\n\nExpress costs nine dollars.\n")
    as_json(tmp_path, "add", docs)
    (docs / "sub" / "fees.md").write_text("# Fees\n\nExpress costs ten dollars.\n")
    (docs / "returns.md").write_text("# Returns\n\nChanged too.\n")
    report = as_json(tmp_path, "add", docs / "sub" / "fees.md", "--under", docs)
    assert report["added"] == ["sub/fees.md"]
    assert len(as_json(tmp_path, "ls")) == 3
    assert "ten" in as_json(tmp_path, "search", "what does express cost")["answer"]["quotes"][0]["text"]
    assert "30 days" in as_json(tmp_path, "search", "return goods")["hits"][0]["passage"]["text"]  # was not read


def test_vanished_files_stay_unless_pruned(tmp_path: Path, docs: Path) -> None:
    as_json(tmp_path, "add", docs)
    (docs / "returns.md").unlink()
    assert as_json(tmp_path, "add", docs)["removed"] == []
    assert len(as_json(tmp_path, "ls")) == 2
    assert "removed: 1" in call(tmp_path, "add", docs, "--prune").stdout
    assert [item["name"] for item in as_json(tmp_path, "ls")] == ["退货.txt"]
    refused = call(tmp_path, "add", docs / "退货.txt", "--prune")
    assert isinstance(refused.exception, ConfigError)


@pytest.fixture
def config(tmp_path: Path, docs: Path) -> Path:
    (tmp_path / "faq").mkdir()
    (tmp_path / "faq" / "pay.md").write_text("# Paying\n\nYou can pay by card or in cash.\n")
    file = tmp_path / "holdfast.toml"
    file.write_text(
        f"""
        [knowledge]
        index = "{tmp_path}/c.db"
        folders = ["docs"]
        [knowledge.collections.faq]
        folders = ["faq"]
        threshold = 0.2
        description = "What customers ask most."
        """
    )
    return file


def test_a_config_names_the_folders_of_each_collection(tmp_path: Path, config: Path) -> None:
    def ran(*args: object) -> Any:
        result = CliRunner().invoke(app, [*map(str, args), "--config", str(config), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    added = ran("add")
    assert [(item["collection"], len(item["added"])) for item in added] == [("default", 2), ("faq", 1)]
    assert [item["collection"] for item in ran("add", "--collection", "faq")] == ["faq"]
    (tmp_path / "docs" / "returns.md").write_text("# Returns\n\nWithin ninety days.\n")
    assert ran("add", tmp_path / "docs" / "returns.md")["added"] == ["returns.md"]
    listed = {item["name"]: item for item in ran("collections")}
    assert listed["faq"]["description"] == "What customers ask most."
    assert listed["faq"]["threshold"] == 0.2
    assert ran("search", "how can I pay", "--collection", "faq")["threshold"] == 0.2
    wrong = CliRunner().invoke(app, ["add", str(tmp_path / "faq"), "--collection", "fag", "--config", str(config)])
    assert isinstance(wrong.exception, ConfigError)
    assert isinstance(CliRunner().invoke(app, ["add"]).exception, ConfigError)


def test_embeddings_of_a_config_take_part(tmp_path: Path, config: Path) -> None:
    with embeddings_server() as server:
        text = config.read_text() + f'\n[knowledge.embeddings]\nname = "tiny"\nbase_url = "{server.url}"\n'
        config.write_text(text)
        options = ("--config", str(config), "--json")
        added = json.loads(CliRunner().invoke(app, ["add", *options]).stdout)
        assert [item["vectors"] for item in added] == [2, 1]
        found = json.loads(CliRunner().invoke(app, ["search", "refund of goods", *options]).stdout)
        assert (len(found["hits"]), found["degraded"]) == (2, [])
    found = json.loads(CliRunner().invoke(app, ["search", "refund of goods", *options]).stdout)
    assert "cannot be reached" in found["degraded"][0]
    (tmp_path / "docs" / "new.md").write_text("# New\n\nNothing of note.\n")
    result = CliRunner().invoke(app, ["add", "--config", str(config)])
    assert result.exit_code == 0
    assert "without vectors: " in result.stderr


def test_eval_asks_a_collection_as_it_is(tmp_path: Path, docs: Path) -> None:
    as_json(tmp_path, "add", docs)
    file = tmp_path / "set.json"
    qas = [{"question": "Within how many days may I return goods?", "answers": [{"text": "30", "answer_start": 4}]}]
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "In: 30 days", "qas": qas}]}]}))
    found = as_json(tmp_path, "eval", file, "--collection", "default")
    assert (found["documents"], found["hit_1"], found["quoted_1"]) == (2, 1.0, 1.0)
