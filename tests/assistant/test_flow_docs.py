"""The examples of docs/flows.md and docs/dialogue-tests.md: the file is one, its steps are steps, the dialogues pass."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from holdfast import open_store
from holdfast.assistant.flows.reading import flows_and_problems
from holdfast.config import Config
from holdfast.testing.dialogues import read_dialogues, run_dialogues
from holdfast.testing.dialogues.telling import told

DOCS = Path(__file__).parents[2] / "docs"
FLOWS, *STEPS = re.findall(r"```yaml\n(.*?)```", (DOCS / "flows.md").read_text(), re.DOTALL)
DIALOGUES = re.findall(r"```yaml\n(.*?)```", (DOCS / "dialogue-tests.md").read_text(), re.DOTALL)
TOOLS = """
def book(place: str, people: int, phone: str) -> dict:
    return {"number": "X1"}
"""


def test_the_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "flows.yaml").write_text(FLOWS)
    flows, problems = flows_and_problems([tmp_path])
    assert problems == [] and list(flows.programs) == ["book_table"]


@pytest.mark.parametrize("steps", STEPS)
def test_its_steps_are_steps(steps: str, tmp_path: Path) -> None:
    first, responses = FLOWS.split("    steps:\n")[0], FLOWS[FLOWS.index("responses:") :]
    more = "  choose_table:\n    title: {zh: 选座, en: choosing}\n    steps: [{say: large}]\n"
    text = f"{first}    steps:\n{textwrap.indent(steps, '      ')}{more}{responses}"
    (tmp_path / "flows.yaml").write_text(text)
    _, problems = flows_and_problems([tmp_path])
    assert [problem for problem in problems if problem.level == "error"] == []


@pytest.mark.parametrize("number", range(len(DIALOGUES)))
async def test_the_dialogues_pass(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "docs_tools.py").write_text(TOOLS)
    (tmp_path / "flows.yaml").write_text(FLOWS)
    (tmp_path / "talk.yaml").write_text(DIALOGUES[number])
    assistant = {"flows": [tmp_path / "flows.yaml"], "policy": ["handover", "flows", "documents"]}
    config = Config.model_validate(
        {"assistant": assistant, "tools": {"functions": ["docs_tools:book"]}, "knowledge": {"index": ""}}
    )
    async with open_store("memory:") as store:
        report = await run_dialogues(read_dialogues([tmp_path / "talk.yaml"]), config, store)
    assert not report.failed, "\n".join(told(result) for result in report.failed)
