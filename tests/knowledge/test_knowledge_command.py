"""``holdfast knowledge``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the command line is the extra cli")

from typer.testing import CliRunner, Result

from holdfast.cli.knowledge import app
from holdfast.errors import HoldfastError, IndexUnusable, KnowledgeMissing


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
