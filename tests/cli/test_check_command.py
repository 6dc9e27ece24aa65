"""`holdfast check`: every mistake of a config, its flows, tools and documents by file and line, and nothing done."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import Ran, cli

from holdfast.assistant.parts import Parts
from holdfast.config.toml_lines import TomlLines
from holdfast.tools import tool

CONFIG = """\
[store]
url = "memory:"

[knowledge]
index = "{folder}/index.db"
folders = ["docs"]

[tools]
functions = ["checked_shop:find", "checked_shop:cancel"]
ask = ["cancel"]

[assistant]
flows = ["flows.yaml"]
policy = ["flows", "documents"]

[sensitive]
phone = "phone"
"""
FLOWS = """\
flows:
  order:
    title: {zh: 订单, en: order}
    triggers: {en: [my order]}
    slots:
      phone:
        type: phone
        ask: {zh: 手机？, en: Phone?}
    steps:
      - ask: phone
      - call: find
"""


@tool(sees=("phone",))
def find(phone: str) -> dict[str, Any]:
    """Finds an order."""
    raise AssertionError("a tool was called")


def cancel(order: str) -> None:
    """Cancels an order."""
    raise AssertionError("a tool was called")


class Checked:
    """A folder with an assistant that is right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "holdfast.toml"
        self.file.write_text(CONFIG.replace("{folder}", str(folder)))
        (folder / "flows.yaml").write_text(FLOWS)
        (folder / "docs").mkdir()
        (folder / "docs" / "returns.md").write_text("# Returns\n\nWithin 7 days.\n")

    def replace(self, old: str, new: str, file: str = "holdfast.toml") -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def run(self, *args: str) -> Ran:
        before = {path: path.stat().st_mtime_ns for path in self.folder.rglob("*")}
        ran = cli("check", "--config", self.file, *args)
        assert {path: path.stat().st_mtime_ns for path in self.folder.rglob("*")} == before  # nothing is written
        return Ran(ran.code, ran.out.replace(f"{self.folder}/", ""), ran.err)


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    shop = ModuleType("checked_shop")
    for one in (find, cancel, Broken, NoModel):
        setattr(shop, one.__name__, one)
    monkeypatch.setitem(sys.modules, "checked_shop", shop)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Checked(tmp_path)


class Broken:
    def __init__(self, parts: Parts) -> None:
        raise RuntimeError("no such thing")


class NoModel:
    def __init__(self, parts: Parts) -> None: ...


def test_what_is_right_is_told_in_short(checked: Checked) -> None:
    ran = checked.run()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[:2] == ["nothing is wrong", "flows: 1, slots: 1, responses: 0, tools: 2, documents: 1"]
    assert "policy: flows, documents" in ran.out


def test_the_sample_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert cli("check", "--strict").code == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"memory:"', '"bogus://user:canary@x"', "holdfast.toml:2: store.url: no store is known for"),
        (
            'url = "memory:"',
            'url = "memory:"\nttll = 3',
            "holdfast.toml:3: store.ttll is not a setting; did you mean 'ttl'?",
        ),
        (
            "[sensitive]",
            "[servr]\nport = 1\n[sensitive]",
            "holdfast.toml:16: servr is not a setting; did you mean 'server'?",
        ),
        (
            "[sensitive]",
            "[server]\nport = 'x'\n[sensitive]",
            "holdfast.toml:17: server.port: Input should be a valid integer",
        ),
        ('"checked_shop:find"', '"checked_shop:fnd"', 'holdfast.toml:9: tools.functions = "checked_shop:fnd": module'),
        (
            '["checked_shop:find",',
            '["nowhere:find",\n',
            'holdfast.toml:9: tools.functions = "nowhere:find" cannot be imported',
        ),
        (
            'ask = ["cancel"]',
            'ask = ["cancle"]',
            "holdfast.toml:10: tools.ask: there is no tool 'cancle'; did you mean 'cancel'?",
        ),
        ('ask = ["cancel"]', 'limits.fnd.timeout = "1s"', "holdfast.toml:10: tools.limits: there is no tool 'fnd'"),
        ('ask = ["cancel"]', 'allow = ["cancel"]', "flows.yaml:11: call: find is no tool of this assistant"),
        ('"flows.yaml"', '"flow.yaml"', "holdfast.toml:13: assistant.flows: there is no file or folder flow.yaml"),
        ('"documents"]', '"docs"]', 'holdfast.toml:14: assistant.policy = "docs" is no part'),
        (
            'policy = ["flows", "documents"]',
            'policy = [\n  "flows",\n  "checked_shop:Broken",\n]',
            'holdfast.toml:16: assistant.policy = "checked_shop:Broken" cannot be made: RuntimeError: no such thing',
        ),
        (
            "policy =",
            'model = "checked_shop:NoModel"\npolicy =',
            'holdfast.toml:14: assistant.model = "checked_shop:NoModel" made NoModel',
        ),
        ("policy =", 'texts.en.greting = "Hi"\npolicy =', "holdfast.toml:14: assistant.texts.en.greting is not a text"),
        (
            "policy =",
            'answer = "model"\npolicy =',
            'holdfast.toml:14: assistant.answer = "model", and no model is configured',
        ),
        ('folders = ["docs"]', 'folders = ["docs", "dcs"]', "holdfast.toml:6: folders: there is no file or folder dcs"),
        ('folders = ["docs"]', "folders = []", "holdfast.toml:5: knowledge.index: there is no file index.db"),
        (
            "[sensitive]",
            "[channels.shop]\nkind = 'telegram'\n[sensitive]",
            'holdfast.toml:17: channels.shop.kind = "telegram" is no',
        ),
        (
            "[sensitive]",
            "[channels.shop]\nkind = 'nowhere:A'\n[sensitive]",
            'holdfast.toml:17: channels.shop.kind = "nowhere:A" cannot',
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(checked: Checked, old: str, new: str, says: str) -> None:
    checked.replace(old, new)
    ran = checked.run()
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(says), ran.out
    assert lines[1].startswith("1 error")
    assert "canary" not in ran.out


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "holdfast.toml",
            'phone = "phone"',
            'fone = "phone"',
            "holdfast.toml:17: warning: sensitive.fone: no slot has this name",
        ),
        (
            "flows.yaml",
            "- call: find",
            "- call: cancel\n        with: {order: phone}",
            "flows.yaml:11: warning: call: cancel is given phone masked, as nothing lets it see that",
        ),
        (
            "holdfast.toml",
            "[sensitive]",
            "[masking.clear.tools]\nfnd = ['phone']\n[sensitive]",
            "holdfast.toml:17: warning: masking.clear.tools: there is no tool 'fnd'; did you mean 'find'?",
        ),
        ("flows.yaml", "steps:", "examples: {en: [a, b]}\n    steps:", "flows.yaml:9: warning: 2 examples"),
        (
            "flows.yaml",
            "- ask: phone",
            "- if: fone\n        then: []\n      - ask: phone",
            "flows.yaml:10: warning: 'fone' is no slot",
        ),
        (
            "docs/returns.md",
            "# Returns\n\nWithin 7 days.\n",
            "",
            "docs/returns.md: warning: is left out: it holds no text",
        ),
    ],
)
def test_a_warning_fails_only_where_one_is_strict(checked: Checked, file: str, old: str, new: str, says: str) -> None:
    checked.replace(old, new, file)
    ran = checked.run()
    assert ran.code == 0
    assert ran.out.startswith(says)
    assert "\n1 warning\n" in ran.out
    assert checked.run("--strict").code == 1


def test_flows_that_cannot_be_read_are_not_missed_as_examples_too(checked: Checked) -> None:
    config = checked.file.read_text()
    checked.file.write_text(config.replace("[assistant]", '[assistant]\nunderstanding = ["rules", "intents"]'))
    (checked.folder / "flows.yaml").write_text(FLOWS.replace("type: phone", "typ: phone"))
    ran = checked.run()
    assert ran.code == 1
    assert "nothing to learn them from" not in ran.out
    (checked.folder / "flows.yaml").write_text(FLOWS)
    assert "nothing to learn them from" in checked.run().out


def test_all_of_it_at_once_sorted_and_as_json(checked: Checked) -> None:
    checked.replace("[store]", "[store]\nttll = 1")
    checked.replace('"checked_shop:cancel"', '"checked_shop:cncel"')
    checked.replace("call: find", "call: fnid", "flows.yaml")
    checked.replace("- ask: phone", "- ask: fone", "flows.yaml")
    ran = checked.run("--json")
    assert ran.code == 1
    document = ran.document
    assert document["ok"] is False
    assert [(one["file"], one["line"], one["level"]) for one in document["problems"]] == [
        ("flows.yaml", 10, "error"),
        ("holdfast.toml", 2, "error"),
        ("holdfast.toml", 10, "error"),
    ]
    assert document["found"]["flows"] == ["order"]


def test_a_config_that_is_wrong_is_all_that_is_told(checked: Checked) -> None:
    checked.replace("[store]", "[server]\nport = 'x'\ndrain = 'y'\n[store]")
    ran = checked.run()
    assert ran.code == 1
    assert [line.partition(": ")[0] for line in ran.out.splitlines()[:-1]] == ["holdfast.toml:2", "holdfast.toml:3"]
    assert "2 errors; the rest is checked once the config is right" in ran.out


def test_a_variable_of_the_environment_is_named(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SERVER__PORT", "many")
    assert "environment: environment variable HOLDFAST_SERVER__PORT: Input should be" in checked.run().out


@pytest.mark.parametrize("content", [b"[store\n", b"\xff\xfe", None])
def test_a_config_that_cannot_be_read_at_all(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.toml"
    if content is not None:
        file.write_bytes(content)
    ran = cli("check", "--config", file)
    assert ran.code == 2
    assert ran.err.startswith(f"holdfast: {file}: ")


def test_no_secret_is_told(checked: Checked) -> None:
    checked.replace("[store]", "[model]\napi_key = ['canary']\n[store]")
    ran = checked.run("--json")
    assert ran.code == 1 and "canary" not in ran.out + ran.err


def test_lines_of_toml() -> None:
    text = (
        'a = 1 # [x]\n"q.r" = """\nb = 2\n"""\n[t]\nu.v = [\n  1, # ]\n  {w = "}"},\n]\n'
        "'s' = '''\n[[no]]'''\n[[many]]\nx = 1\n[many.sub]\ny = 2\n[[many]]\nx = 3\n"
    )
    lines = TomlLines("f", text)
    assert {
        place: lines.line(place)
        for place in (
            ("a",), ("q.r",), ("t",), ("t", "u", "v"), ("t", "u", "v", 1, "w"), ("t", "s"), ("many", 0, "x"),
            ("many", 0, "sub", "y"), ("many", 1, "x"), ("many", 1, "z"), ("nothing",),
        )
    } == {
        ("a",): 1, ("q.r",): 2, ("t",): 5, ("t", "u", "v"): 6, ("t", "u", "v", 1, "w"): 8, ("t", "s"): 10,
        ("many", 0, "x"): 13, ("many", 0, "sub", "y"): 15, ("many", 1, "x"): 17, ("many", 1, "z"): 16, ("nothing",): 0,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["[", "[[", "a =", 'a = "', "a = [1", "= 3", "]]]", "a = {b", "\0", "'"])
def test_lines_of_what_is_no_toml_are_guesses_that_end(text: str) -> None:
    assert TomlLines("f", text * 3).line(("a",)) >= 0


def test_the_config_of_the_folder_one_is_in_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sample = cli("check")
    assert sample.code == 0 and "this was the sample" in sample.err
    (tmp_path / "holdfast.toml").write_text("[servr]\n")
    own = cli("check")
    assert own.code == 1
    assert "holdfast.toml:1: servr" in own.out and "sample" not in own.err
