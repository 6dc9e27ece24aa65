"""``holdfast test``: dialogues that pass, that fail and that are wrong; coverage, JUnit XML, JSON, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest
from command_line import Ran, cli

FLOWS = """
flows:
  table:
    title: {zh: 订座, en: booking}
    triggers: {zh: [订位], en: [book]}
    slots:
      people: {type: number, ask: {zh: 几位？, en: "How many?"}, called: {zh: [人数], en: [people]}}
      day: {type: date, ask: {zh: 哪天？, en: "Which day?"}}
    steps:
      - ask: people
      - ask: day
      - call: reserve
        failed:
          - say: {zh: 订不上。, en: "It cannot be booked."}
          - end: true
      - if: number > 100
        then:
          - say: {zh: 很多, en: "Many."}
        else:
          - say: {zh: "{day}，{number} 号。", en: ["On {day}, number {number}.", "On {day}: {number}."]}
"""
CONFIG = """
[assistant]
flows = ["flows.yaml"]
policy = ["flows", "small_talk", "documents"]
[knowledge]
index = ""
[tools]
functions = ["dialogue_tools:reserve"]
timeout = "5s"
[sensitive]
secret = "phone"
"""
TOOLS = """
def reserve(people: int, day: str) -> dict:
    return {"number": people * 10}
"""
PASSING = """
now: 2026-09-21T10:00:00+08:00
dialogues:
  - name: a table
    steps:
      - {user: book a table, expect: {said: How many, started: table, flow: table, tools: [], language: en}}
      - {user: "4", expect: {said: Which day, slots: {people: 4}, slots_not: day}}
      - user: tomorrow
        expect:
          matches: 'On 2026-09-22\\W+(number )?40'
          said_not: Many
          tool: {name: reserve, with: {people: 4}}
          ended: table
          flow: null
          state: {people: 4}
          state_not: nothing
"""

Project = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A config with a flow and a tool; the dialogues are written beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")  # nobody is to ask it
    (tmp_path / "dialogue_tools.py").write_text(TOOLS)
    (tmp_path / "flows.yaml").write_text(FLOWS)
    (tmp_path / "holdfast.toml").write_text(CONFIG)
    (tmp_path / "dialogues").mkdir()

    def write(dialogues: str) -> Path:
        (tmp_path / "dialogues" / "talk.yaml").write_text(dialogues)
        return tmp_path

    return write


def played(folder: Path, *more: object) -> Ran:
    return cli("test", "--config", folder / "holdfast.toml", *more)


def dialogue(steps: str, top: str = "") -> str:
    lines = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    return f"now: 2026-09-21T10:00:00+08:00\ndialogues:\n  - name: one\n{top}    steps:\n{lines}"


def test_dialogues_pass_and_what_they_do_not_reach_is_named(project: Project) -> None:
    ran = played(project(PASSING))
    assert ran.code == 0, ran.out + ran.err
    assert "1 passed, 0 failed" in ran.out and "flow coverage 62.5 %" in ran.out
    assert "flows.yaml:14: table, step 2.failed.0 (say)" in ran.out
    assert "flows.yaml:18: table, step 3.then.0 (say)" in ran.out


def test_too_little_coverage_fails(project: Project) -> None:
    folder = project(PASSING)
    ran = played(folder, "--min-coverage", 63)
    assert ran.code == 1
    assert "less than the 63 %" in ran.out
    assert played(folder, "--min-coverage", 62).code == 0


def test_all_steps_are_reached_with_tools_that_fail_or_return_something_else(project: Project) -> None:
    folder = project(
        dialogue(
            """
- {user: book a table for 2 people tomorrow, expect: {flow: null, said: "20"}}
- user: book for 3 people tomorrow
  tools: {reserve: {raises: full}}
  expect: {said: It cannot be booked, ended: table}
- user: book for 3 people on Friday
  tools: {reserve: {delay: 1h}}
  expect: {said: It cannot be booked}
- {user: book for 4 people on Friday, expect: {said: Many}}
""",
            "    tools: {reserve: [{returns: {number: 20}}, {returns: {number: 101}}]}\n",
        )
    )
    ran = played(folder, "--min-coverage", 100)
    assert ran.code == 0, ran.out + ran.err


@pytest.mark.parametrize(
    ("expect", "key", "came"),
    [
        ("said: [How, Where]", "said", "How many?"),
        ("said:\n    - How\n    - Where", "- Where", "How many?"),
        ("said_not: How", "said_not", "How many?"),
        ("matches: '^Which'", "matches", "How many?"),
        ("flow: null", "flow", "table"),
        ("ended: table", "ended", "(none)"),
        ("started: []\n    flow: table\n    slots: {people: 3}", "slots", "people has no value"),
        ("slots_not: people\n    state: {language: zh}", "state", 'language: "en"'),
        ("state_not: language", "state_not", 'language: "en"'),
        ("tool: reserve", "tool", "(none)"),
        ("tools: [reserve]", "tools", "(none)"),
        ("cited: zh/x.md", "cited", "(none)"),
        ("intent: table", "intent", "(none)"),
        ("language: zh", "language", "en"),
        ("handed_over: true", "handed_over", "false"),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_line(project: Project, expect: str, key: str, came: str) -> None:
    folder = project(dialogue(f"- user: book a table\n  expect:\n    {expect}"))
    ran = played(folder)
    line = 7 + expect[: expect.index(key)].count("\n")
    assert ran.code == 1
    assert f"talk.yaml:{line}: {'said' if key == '- Where' else key}\n" in ran.out
    assert "    > book a table\n      How many?\n" in ran.out
    assert f"came      {came}" in ran.out
    assert "0 passed, 1 failed" in ran.out


def test_a_dialogue_stops_at_the_turn_that_fails_and_the_others_go_on(project: Project) -> None:
    folder = project(
        PASSING
        + """
  - name: another
    steps:
      - {user: book, expect: {said: nonsense}}
      - {user: "4"}
  - name: 第三个
    steps:
      - {user: 订位, expect: {said: 几位}}
"""
    )
    ran = played(folder, "--json")
    assert ran.code == 1
    document = ran.document
    assert [one["passed"] for one in document["dialogues"]] == [True, False, True]
    assert document["dialogues"][1]["said"] == [["user", "book"], ["assistant", "How many?"]]
    assert document["dialogues"][1]["failures"][0] | {"nearest": ""} == {
        "line": 20,
        "key": "said",
        "expected": "nonsense",
        "came": "How many?",
        "nearest": "",
    }
    assert document["coverage"]["flows"][0]["missing"][0]["line"] == 14
    third = played(folder, "-k", "第三")
    assert third.code == 0 and "not reached" not in third.out
    assert "not reached" in played(folder, "-k", "第三", "--min-coverage", 10).out
    assert played(folder, "-k", "TALK.yaml").code == 1
    assert played(folder, "-k", "no such").code == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("- user: book\n  expect: {sayd: x}", "talk.yaml:6: 'sayd' means nothing here"),
        ("- usr: book", "talk.yaml:5: 'user' is missing"),
        ("- user: book\n  expect:\n    matches: '('", "talk.yaml:7: "),
        ("- user: book\n  expect: {flow: tabel}", "talk.yaml:6: flow: there is no flow 'tabel'; did you mean 'table'?"),
        ("- user: book\n  expect: {slots: {peple: 3}}", "talk.yaml:6: slots: there is no slot 'peple'"),
        ("- user: book\n  expect: {tool: reserv}", "talk.yaml:6: tool: there is no tool 'reserv'"),
        ("- user: book\n  tools: {cook: {returns: 1}}", "talk.yaml:6: tools: there is no tool 'cook'"),
        ("- user: book\n  tools: {reserve: {gives: 1}}", "talk.yaml:6: 'gives' means nothing here"),
        ("- user: [", "talk.yaml:"),
        ("- user: book\n  after: soon", "talk.yaml:6: after"),
    ],
)
def test_a_wrong_file_is_an_error_with_its_line(project: Project, wrong: str, says: str) -> None:
    ran = played(project(dialogue(wrong)))
    assert ran.code == 2
    assert says in ran.err


def test_several_wrong_things_are_told_at_once_and_a_name_used_twice_too(project: Project) -> None:
    ran = played(project(dialogue("- user: book\n  expect: {a: 1}\n- {user: x, b: 2}")))
    assert "talk.yaml:6: 'a' means" in ran.err and "talk.yaml:7: 'b' means" in ran.err
    twice = "dialogues: [{name: a, steps: [{user: x}]}, {name: a, steps: [{user: y}]}]"
    assert "two dialogues are called 'a'" in played(project(twice)).err


def test_files_that_are_not_there(project: Project, tmp_path: Path) -> None:
    folder = project(PASSING)
    assert "there is no such file" in played(folder, tmp_path / "none.yaml").err
    (folder / "dialogues" / "talk.yaml").unlink()
    assert "has no .yaml file" in played(folder).err
    (folder / "dialogues").rmdir()
    ran = played(folder)
    assert ran.code == 2 and "which dialogues?" in ran.err


def test_time_passes_and_a_flow_is_dropped(project: Project) -> None:
    folder = project(
        dialogue(
            """
- {user: book, expect: {flow: table}}
- {user: "3", after: 23h, expect: {flow: table}}
- {user: tomorrow, after: 25h, expect: {flow: null, tools: []}}
"""
        )
    )
    assert played(folder).code == 0


def test_a_dialogue_begins_with_a_state_in_a_language_and_on_a_channel(project: Project) -> None:
    top = "    language: zh\n    state: {people: 5}\n    channel: shop\n"
    folder = project(dialogue('- {user: "?", expect: {language: zh, state: {people: 5}, flow: null}}', top))
    ran = played(folder)
    assert ran.code == 0, ran.out


def test_a_tool_that_is_called_with_wrong_arguments_fails_although_it_is_played(project: Project) -> None:
    top = "    state: {people: many}\n    tools: {reserve: {returns: {number: 1}}}\n"
    folder = project(dialogue("- {user: book tomorrow}", top))
    flows = (
        (folder / "flows.yaml")
        .read_text()
        .replace("- call: reserve", "- call: reserve\n        with: {people: day, day: day}")
    )
    (folder / "flows.yaml").write_text(flows)
    folder = project(dialogue("- {user: book for 3 people tomorrow, expect: {said: It cannot be booked}}", top))
    assert played(folder).code == 0


def test_junit_xml_is_as_ci_servers_read_it(project: Project) -> None:
    folder = project(PASSING + '  - name: "bad \\x01 <&>"\n    steps: [{user: book, expect: {said: nonsense}}]\n')
    file = folder / "report.xml"
    assert played(folder, "--junit", file).code == 1
    check_junit(xml.parse(file).getroot())
    suite = xml.parse(file).getroot()[0]
    assert suite.attrib["tests"] == "2" and suite.attrib["failures"] == "1"
    good, bad = suite.findall("testcase")
    assert good.attrib["name"] == "a table" and good.attrib["line"] == "4" and not len(good)
    assert "talk.yaml" in bad.attrib["file"] and "<&>" in bad.attrib["name"]
    failure = bad[0]
    assert failure.attrib["type"] == "said" and "expected nonsense, came How many?" in failure.attrib["message"]
    assert "> book" in (failure.text or "")


JUNIT = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "disabled", "skipped", "timestamp", "hostname", "id"}
        | {"package", "file", "log", "url", "version"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group", "assertions", "status", "class", "file", "line"},
        {"skipped", "error", "failure", "rerunFailure", "flakyFailure", "properties", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
}
"""Elements with their attributes and children, of the schema that Jenkins' xUnit plugin publishes (junit-10.xsd); ``file`` and
``line`` of a case as pytest writes them."""


def check_junit(element: xml.Element) -> None:
    attributes, children = JUNIT[element.tag]
    assert element.attrib.keys() <= attributes
    if element.tag != "testsuites" and element.tag != "failure":
        assert element.attrib["name"]
    for name in ("tests", "failures", "errors", "time", "line"):
        if name in element.attrib:
            assert float(element.attrib[name]) >= 0
    for child in element:
        assert child.tag in children
        check_junit(child)


MODEL = """
assistant: {understanding: [rules, model]}
dialogues:
  - name: by a model
    model: {"a place": {structured: {commands: [{command: start_flow, flow: table}, {command: set_slot, slot: people, value: 4}]}}}
    steps:
      - {user: I need a place, expect: {started: table, slots: {people: 4}, said: Which day}}
  - name: without a script
    model: []
    steps:
      - {user: I need a place}
"""


def test_a_script_stands_for_the_model(project: Project) -> None:
    ran = played(project(MODEL))
    assert ran.code == 1
    assert "1 passed, 1 failed" in ran.out
    assert "the turn failed: ScriptRanOut: the script has no answer to request 1" in ran.out


def test_the_script_may_be_a_file(project: Project) -> None:
    dialogues = MODEL.replace("model: []", "model: script.yml").replace(
        "understanding: [rules, model]", "understanding: [rules]"
    )
    folder = project(dialogues.replace("{user: I need a place}", "{user: what is it?}"))
    assert "script" in played(folder, "-k", "without", folder / "dialogues" / "talk.yaml").err
    (folder / "dialogues" / "script.yml").write_text("[Nothing is known.]")
    assert played(folder, "-k", "without", folder / "dialogues" / "talk.yaml").code == 0


def test_the_samples_dialogues_reach_every_step_of_its_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    ran = cli("test", "--min-coverage", 100, "--json")
    assert ran.code == 0, ran.out + ran.err
    document = ran.document
    assert document["passed"] >= 30 and document["failed"] == 0
    assert document["coverage"]["percent"] == 100
    assert not [flow for flow in document["coverage"]["flows"] if flow["missing"]]


def test_dialogues_run_over_another_store_and_leave_nothing_there(project: Project, tmp_path: Path) -> None:
    folder = project(PASSING)
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    assert played(folder, "--store", url, "--jobs", 1).code == 0
    assert cli("sessions", "ls", "--store", url, "--json").out.strip() in ("", "[]")
