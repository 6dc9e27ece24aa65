"""Flow files that are wrong: each mistake with its file and line, and nothing that a file may hold breaks the reader."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.assistant.flows.expressions import DEEPEST, LONGEST, Expression
from holdfast.assistant.flows.flow_set import FlowSet
from holdfast.assistant.flows.reading import flows_and_problems, read_flows
from holdfast.assistant.flows.yaml_source import MOST_BYTES, MOST_VALUES, Problem, Problems, parse
from holdfast.config import ReplySection, SlotSection, TaskSection

TOP = """\
flows:
  pay:
    title: {zh: 付款, en: payment}
    triggers: {en: [pay]}
    slots:
      amount:
        type: number
        ask: {zh: 多少？, en: How much?}
    steps:
"""
SAY = "      - say: {zh: 好, en: Good.}\n"

Check = Callable[[str], list[str]]


@pytest.fixture
def found(tmp_path: Path) -> Check:
    """The problems of a file's text, the folder left out."""

    def check(text: str | bytes) -> list[str]:
        file = tmp_path / "a.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        _, problems = flows_and_problems([file])
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in problems]

    return check


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        # --- steps ---
        ("      - shout: loud\n", "a.yaml:10: is no step; a step has one of: ask, call, confirm"),
        ("      - hello\n", "a.yaml:10: is no step"),
        ("      - {}\n", "a.yaml:10: is no step"),
        ("      - ask: amount\n        call: pay\n", "a.yaml:11: one step cannot be `ask` and `call`: make it two"),
        ("      - if: 'true'\n        then: []\n        go: x\n", "a.yaml:12: one step cannot be `if` and `go`"),
        ("      - hand_over: x\n        say: y\n", "a.yaml:11: one step cannot be `hand_over` and `say`"),
        ("      - ask: amount\n        agian: true\n", "a.yaml:11: 'agian' means nothing here"),
        ("      - ask: amount\n        again: perhaps\n", "a.yaml:11: again: has to be true or false"),
        ("      - ask: [amount]\n", "a.yaml:10: ask: has to be text"),
        ("      - end: false\n", "a.yaml:10: end: has to be True"),
        ("      - if: 'true'\n        then: nothing\n", "a.yaml:11: then: has to be a list"),
        ("      - switch: amount\n", "a.yaml:10: 'cases' is missing"),
        ("      - forget: []\n", "a.yaml:10: forget: needs at least 1"),
        ("      - set: {Total: '1'}\n", "a.yaml:10: Total: is no name: a lower-case letter"),
        ("      - id: First!\n        say: {zh: 好, en: x}\n", "a.yaml:10: id: is no name: a lower-case letter"),
        (
            "      - if: 'true'\n        then:\n          - say: {zh: 好, en: x}\n          - ask: x\n            call: y\n",
            "a.yaml:14: one step cannot be `ask` and `call`",
        ),
        # --- names that lead nowhere ---
        ("      - ask: amuont\n", "a.yaml:10: ask: the flow has no slot 'amuont'; did you mean 'amount'?"),
        ("      - forget: [x]\n      - ask: amount\n", "a.yaml:10: forget: the flow has no slot 'x'"),
        ("      - say: thanks\n", "a.yaml:10: there is no response 'thanks'; there is none"),
        ("      - run: pays\n", "a.yaml:10: there is no flow 'pays'; did you mean 'pay'?"),
        ("      - ask: amount\n      - link: nowhere\n", "a.yaml:11: there is no flow 'nowhere'; there are: pay"),
        ("      - run: pay\n", "a.yaml:10: a flow cannot run itself"),
        (
            SAY + "      - id: here\n        ask: amount\n      - go: heer\n",
            "a.yaml:13: go: there is no step 'heer' in this flow; did you mean 'here'?",
        ),
        ("      - go: x\n", "a.yaml:10: go: there is no step 'x' in this flow; none has an id"),
        (
            "      - id: one\n        ask: amount\n" + SAY + "      - id: one\n        ask: amount\n",
            "a.yaml:13: there is a step 'one' already, at line 10",
        ),
        # --- texts ---
        ("      - say: {en: Good.}\n", "a.yaml:10: has no text for language 'zh'"),
        ("      - say: {zhh: x}\n", "a.yaml:10: 'zhh' means nothing here"),
        ("      - say: 3\n", "a.yaml:10: say: has to be text"),
        ("      - say:\n          zh: 好\n          en: {a: b}\n", "a.yaml:12: en: has to be a list"),
        ("      - confirm: {zh: 好}\n", "a.yaml:10: has no text for language 'en'"),
        (SAY + "responses:\n  bye: {en: Bye}\n", "a.yaml:12: bye: has no text for language 'zh'"),
        (SAY + "responses:\n  bye: {zh: a, en: a}\n  bye: {zh: b, en: b}\n", "a.yaml:13: 'bye' stands here twice"),
        # --- expressions ---
        ("      - if: amount >\n", "a.yaml:10: if: 'amount >' is not an expression"),
        ("      - if: open('x')\n", "a.yaml:10: if: \"open('x')\": \"open('x')\" is not allowed here; compare"),
        ("      - if: [1]\n", "a.yaml:10: if: has to be an expression, as text"),
        (f"      - if: {'a+' * 300}a\n", f"a.yaml:10: if: is longer than {LONGEST} characters"),
        (f"      - if: '{'-' * 100}1'\n", f"is nested deeper than {DEEPEST} levels"),
        ("      - set: {b: 'a ** 2'}\n", "a.yaml:10: b: 'a ** 2': 'a ** 2' is not allowed here"),
        # --- ways ---
        ("      - end: true\n      - ask: amount\n", "a.yaml:11: this step is never reached"),
        (
            "      - if: amount > 1\n        then:\n          - link: pay\n          - ask: amount\n",
            "a.yaml:13: this step is never reached",
        ),
        (
            "      - id: again\n        say: {zh: 好, en: Good.}\n      - go: again\n",
            "a.yaml:10: the flow never ends from here, and never waits for the user",
        ),
        ("      - id: again\n        ask: amount\n      - go: again\n", "a.yaml:10: the flow never ends from here"),
        ("      - id: again\n        call: pay\n      - go: again\n", "a.yaml:10: the flow never ends from here"),
        ("      - id: a\n        go: a\n", "a.yaml:10: the flow never ends from here"),
        (SAY + "      - link: pay\n", "a.yaml:10: the flow never ends from here"),
        (
            "      - if: amount > 1\n        then:\n          - id: a\n            say: {zh: 好, en: x}\n          - go: a\n",
            "a.yaml:12: the flow never ends from here",
        ),
        # --- warnings ---
        ("      - if: amuont > 1\n        then: []\n", "a.yaml:10: warning: 'amuont' is no slot"),
        ("      - set: {total: amuont * 2}\n", "a.yaml:10: warning: 'amuont' is no slot"),
        ("      - call: pay\n        with: {sum: amuont}\n", "a.yaml:10: warning: 'amuont' is no slot"),
        ("      - say: {zh: '{amuont}', en: x}\n", "a.yaml:10: warning: {amuont} is no slot"),
        (
            "      - say: owed\nresponses:\n  owed: {zh: '{amuont.x}', en: x}\n",
            "a.yaml:10: warning: {amuont} is no slot, nothing that `set` makes, and no tool was called before; "
            "did you mean 'amount'?",
        ),
    ],
)
def test_a_wrong_step_is_named_with_its_line(found: Check, steps: str, says: str) -> None:
    problems = found(TOP + steps)
    assert len([one for one in problems if says in one]) == 1, problems
    assert len(problems) == 1, problems  # and nothing that only follows from it


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "title: {zh: 付款, en: payment}",
            "titel: {zh: 付款, en: payment}",
            ["3: 'titel' means", "2: 'title' is missing"],
        ),
        ("title: {zh: 付款, en: payment}", "title: {en: payment}", ["3: title has no text for language 'zh'"]),
        ("title: {zh: 付款, en: payment}", "title: payment", ["3: title: has to be a mapping"]),
        ("{zh: 多少？, en: How much?}", "{zh: 多少？}", ["8: ask has no text for language 'en'"]),
        ("{zh: 多少？, en: How much?}", "{fr: Combien?}", ["8: 'fr' means nothing here"]),
        ("type: number", "type: nmber", ["7: type: has to be 'phone', 'email', 'number'"]),
        ("type: number", "type: choice", ["6: amount: `values` belongs to `type: choice`, and is needed there"]),
        ("type: number", "pattern: '('\n        type: pattern", ["7: pattern: is not a regular expression: missing )"]),
        ("type: number", "depends: [amout]", ["7: depends: there is no slot 'amout'; did you mean 'amount'?"]),
        ("type: number", "depends: [amount]", ["7: depends: a slot cannot depend on itself"]),
        ("type: number", "valid: value > total", ["6: amount: `valid` may look at value, today and now, not at total"]),
        ("type: number", "check: os:nothing", ['7: check = "os:nothing": module os has no function']),
        ("type: number", "check: no_such_module:f", ['7: check = "no_such_module:f" cannot be imported']),
        ("type: number", "invalid: {en: No}", ["7: invalid has no text for language 'zh'"]),
        ("amount:", "Amount:", ["6: Amount: is no name"]),
        ("triggers: {en: [pay]}", "triggers: {en: [pay, '*']}", ["4: a trigger has to have words"]),
        ("triggers: {en: [pay]}", "triggers: [pay]", ["4: triggers: has to be a mapping"]),
        ("triggers: {en: [pay]}", "triggers: {en: pay}", ["4: en: has to be a list"]),
        ("triggers: {en: [pay]}", "max_tries: 0", ["4: max_tries: has to be greater than or equal to 1"]),
        ("triggers: {en: [pay]}", "timeout: soon", ["4: timeout: duration='soon' is not a duration"]),
        ("triggers: {en: [pay]}", "max_tries: 2", ["2: warning: nothing starts flow 'pay': it has no triggers"]),
        ("triggers: {en: [pay]}", "startable: false", ["2: warning: nothing starts flow 'pay': it is not startable"]),
        ("triggers: {en: [pay]}", "examples: {en: [pay, give]}", ["4: warning: 2 examples: an intent is learned from"]),
        ("{zh: 多少？, en: How much?}", "{zh: '{x}', en: How?}", ["8: warning: {x} is no slot"]),
        ("flows:", "flow:", ["1: 'flow' means nothing here"]),
        ("flows:", "flows: []\nmore:", ["1: flows: has to be a mapping", "2: 'more' means nothing here"]),
        ("    steps:\n", "", ["2: 'steps' is missing"]),
        ("    steps:\n", "    steps: []\nx:\n", ["9: steps: needs at least 1", "10: 'x' means nothing here"]),
    ],
)
def test_a_wrong_flow_is_named_with_its_line(found: Check, old: str, new: str, says: list[str]) -> None:
    text = TOP + SAY
    if old == "    steps:\n":
        text = TOP
    assert old in text
    problems = found(text.replace(old, new, 1))
    assert len(problems) == len(says), problems
    for one in says:
        assert any(problem.startswith(f"a.yaml:{one}") for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: b: c", "a.yaml:1: not YAML: mapping values are not allowed here; put texts with {, }, : or # in quotes"),
        (
            "say: {zh: 取消 {number}。, en: x}",
            "a.yaml:1: not YAML: while parsing a flow mapping expected ',' or '}', but got '{'; put",
        ),
        ("flows:\n\tpay: {}", "a.yaml:2: not YAML: a tab cannot indent here; use spaces"),
        ("flows: {\n  a: [1,\n", "a.yaml:3: not YAML: while parsing a flow node"),
        ('x: "open', "a.yaml:1: not YAML: while scanning a quoted scalar found unexpected end of stream"),
        ("a: 1\na: 2", "a.yaml:2: 'a' stands here twice"),
        ("a: {b: 1,\n  b: 2}", "a.yaml:2: 'b' stands here twice"),
        ("a: *b", "a.yaml:1: aliases (*name) are not read here"),
        ("a: &x 1\nb: *x", "a.yaml:1: anchors (&name) are not read here"),
        ("x:\n  a: !!python/object:os.system x", "a.yaml:2: tags (!name) are not read here"),
        ("? [a, b]\n: c", "a.yaml:1: a key has to be text"),
        ("a: 1\n---\nb: 2", "a.yaml:2: a file is one document; this is the second"),
        ("[" * 10_000, "a.yaml:1: is nested deeper than 50 levels"),
        ("- " * 1_000, "a.yaml:1: is nested deeper than 50 levels"),
        ("- a\n" * (MOST_VALUES + 10), f"a.yaml:{MOST_VALUES}: has more than 20,000 values"),
        ("# " + "x" * MOST_BYTES, f"a.yaml: is larger than {MOST_BYTES:,} bytes"),
        ("a: 1\nb: \x07", "a.yaml:2: not YAML: unacceptable character #x0007"),
        ('a: 1\nb: "\\UFFFFFFFF"', "a.yaml:2: not YAML: "),
        (b"a: 1\nb: \xff\xfe", "a.yaml:2: is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a.yaml:1: is not UTF-8"),
        (b"\x00" * 100, "a.yaml:1: not YAML: unacceptable character #x0000"),
        ("- 1\n- 2", "a.yaml:1: the file: has to be a mapping"),
        ("just words", "a.yaml:1: the file: has to be a mapping"),
    ],
    ids=range(23),
)
def test_what_is_no_such_yaml_is_named_with_its_line(found: Check, text: str, says: str) -> None:
    problems = found(text)
    assert len(problems) == 1
    assert problems[0].startswith(says)


@pytest.mark.parametrize("text", ["", "# nothing\n", "flows:\n", "flows: {}\nresponses: {}\n", "\ufeffflows:\r\n"])
def test_an_empty_file_is_no_problem(found: Check, text: str) -> None:
    assert found(text) == []


def test_everything_wrong_is_found_at_once_and_sorted(found: Check) -> None:
    problems = found(TOP + "      - ask: amuont\n      - say: {en: x}\n      - end: true\n      - say: gone\n")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "a.yaml:10",
        "a.yaml:11",
        "a.yaml:13",
        "a.yaml:13",
    ]


def test_names_are_shared_by_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TOP + SAY + "responses:\n  bye: {zh: 再见, en: Bye}\n")
    (tmp_path / "b.yml").write_text(TOP.replace("pay]", "PAY ]") + SAY + "responses:\n  bye: {zh: 再见, en: Bye}\n")
    (tmp_path / "c.yaml").write_text(TOP.replace("  pay:", "  other:") + "      - say: bye\n")
    _, problems = flows_and_problems([tmp_path])
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in problems] == [
        f"b.yml:2: there is a flow 'pay' already, at {tmp_path}/a.yaml:2",
        "b.yml:12: there is a response 'bye' already",
        "c.yaml:4: warning: flow 'pay' has the trigger 'pay' too, and comes first",
    ]


def test_a_flow_of_a_task_has_its_name_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TOP + SAY)
    slot = SlotSection(name="phone", type="phone", prompt={"zh": "手机？", "en": "Phone?"})
    task = TaskSection(
        name="pay",
        title={"zh": "付款", "en": "payment"},
        triggers={},
        slots=(slot,),
        tool="shop:pay",
        replies={"done": ReplySection(text={"zh": "好", "en": "Done"})},
    )
    _, problems = flows_and_problems([tmp_path], tasks=[task])
    assert [problem.message for problem in problems] == ["there is a flow 'pay' already, in [[tasks]]"]


def test_what_one_broken_file_had_is_not_missed_in_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("flows: {")
    (tmp_path / "b.yaml").write_text(TOP + "      - run: in_a\n      - say: in_a\n")
    _, problems = flows_and_problems([tmp_path])
    assert [problem.file for problem in problems] == [str(tmp_path / "a.yaml")]


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "odd.yaml").mkdir()
    paths = [tmp_path / "none.yaml", tmp_path / "folder", Path("nul\0.yaml"), Path("/dev/null")]
    _, problems = flows_and_problems(paths)
    assert sorted(problem.message for problem in problems) == [
        "cannot be read: embedded null byte",
        "has no .yaml file",
        "is no file",
        "there is no such file",
    ]


def test_warnings_stop_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TOP + "      - if: amuont > 1\n        then: []\n")
    assert isinstance(read_flows([file]), FlowSet)
    file.write_text(TOP + "      - if: amuont > 1\n        then: []\n      - say: gone\n")
    with pytest.raises(Problems) as caught:
        read_flows([file])
    assert [problem.level for problem in caught.value.problems] == ["error"]


@pytest.mark.parametrize(
    "steps",
    [
        # what looks like a circle, and is none
        "      - id: again\n        ask: amount\n      - forget: [amount]\n      - go: again\n",
        "      - id: again\n        confirm: {zh: 好？, en: Again?}\n"
        "        yes:\n          - go: again\n        no:\n          - go: again\n",
        "      - id: again\n        call: pay\n      - if: done\n        else:\n          - go: again\n",
        "      - id: again\n        ask: amount\n        again: true\n      - go: again\n",
        "      - ask: amount\n      - link: pay\n",
        # names that a tool, `set` or the clock gives
        "      - call: pay\n      - if: result.total > 1 and anything\n        then: []\n",
        "      - set: {n: '1'}\n      - say: {zh: '{n}', en: '{n} {amount} {today}'}\n",
        "      - if: now > '2026' and not none\n        then: []\n",
    ],
)
def test_what_only_looks_wrong_is_not(found: Check, steps: str) -> None:
    assert found(TOP + steps) == []


# --- arbitrary files ---

_YAMLISH = st.text(st.sampled_from("ab: -\n\t{}[],?*&!|>'\"#%@`\\~0.1é订\u2028\x85\ufeff<"), max_size=200)


@given(st.one_of(st.text(max_size=300), _YAMLISH))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_reader_raise_anything_but_problems(text: str) -> None:
    try:
        source = parse(text, "f")
    except Problems as error:
        assert error.problems and all(problem.line >= 0 and "\n" not in problem.message for problem in error.problems)
    else:
        assert source.line(()) >= 1


_KEYS = st.sampled_from(
    [
        "flows",
        "responses",
        "f",
        "title",
        "slots",
        "steps",
        "ask",
        "call",
        "if",
        "then",
        "say",
        "go",
        "zh",
        "en",
        "id",
        "cases",
        "set",
    ]
)
_TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["a", "f", "amount", "1 +", "x > 1"])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=25,
)


@given(_TREES)
@settings(max_examples=100, deadline=None)
def test_no_content_makes_the_checks_raise(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    value = {"title": {"zh": "a", "en": "a"}, "steps": tree}
    for content in (tree, {"flows": {"f": tree}}, {"flows": {"f": value}}):
        file.write_text(json.dumps(content))
        _, problems = flows_and_problems([file])
        assert all(isinstance(problem, Problem) and problem.line <= 1 for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{" * 200_000,
        "- " * 100_000,
        "k: " * 50_000,
        "a," * 100_000,
        "[" + "a," * 100_000,
        '"' + "\n" * 200_000,
    ],
    ids=range(7),
)
def test_no_file_takes_long(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(Problems):
        parse(text, "f")
    assert time.process_time() - started < 30


# --- expressions ---

_EXPRESSIONISH = st.lists(
    st.sampled_from(
        ["a", "b.c", "1", "-", "not ", "(", ")", "[", "]", " and ", " or ", " in ", " is ", "==", "<", "+", "*", "**", "'x'",
         ".", ",", ":", "lambda ", "if ", "else ", "f''", "1e999", "0x", "\\", "{", "}", "\0", "\ud800", "await ", "yield "]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(st.one_of(st.text(max_size=600), _EXPRESSIONISH))
@settings(max_examples=300, deadline=None)
def test_a_text_is_an_expression_or_a_value_error(text: str) -> None:
    try:
        expression = Expression(text)
    except ValueError:
        return
    expression.value({})
    assert all(isinstance(name, str) for name in expression.names)


_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.binary(max_size=5),
        st.decimals(allow_nan=True, allow_infinity=True),
        st.just(Decimal("sNaN")),
        st.dates(),
        st.datetimes(),
        st.just(datetime(2026, 1, 1, tzinfo=UTC)),
        st.uuids(),
        st.sets(st.integers(), max_size=3),
        st.just(object()),
        st.just(10**3000),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3) | st.just("c"), inner, max_size=3)
    ),
    max_leaves=5,
)
_OPERATORS = ["a == b", "a < b", "a >= b", "a in b", "a not in b", "a is b", "a + b", "a * b", "a - b", "-a", "not a", "a and b",
              "a or b", "a[b]", "a.c.c", "a.c < b.c <= a", "[a, b] == [b, a]", "a[0] + b[-1]", "(a, b)[a]"]  # fmt: skip


@given(st.sampled_from(_OPERATORS), _VALUES, _VALUES)
@settings(max_examples=400, deadline=None)
def test_no_values_make_an_expression_raise(text: str, a: Any, b: Any) -> None:
    Expression(text).value({"a": a, "b": b})


class _Hostile:
    def __bool__(self) -> bool:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("text", ["a == 1", "not a", "a in [a]", "a and 1", "1 if a else 2"][:4])
def test_not_even_values_that_raise_do(text: str) -> None:
    assert Expression(text).value({"a": _Hostile()}) in (None, True, False)


@pytest.mark.parametrize(
    "text",
    ["*".join(["9" * 15] * 30), "+".join(["a"] * 250), "*".join(["a"] * 20), "-" * 499 + "1", "(" * 200 + "1" + ")" * 200,
     "not " * 120 + "a", "a" + ".b" * 240, " and ".join(["a"] * 80), "[" * 90 + "]" * 90, "a" + "[a]" * 120],
    ids=range(10),
)  # fmt: skip
@pytest.mark.parametrize("value", [10**5000, "x" * 100_000, [[]] * 1000, -1.5], ids=range(4))
def test_an_expression_is_bounded_in_time_and_size(text: str, value: Any) -> None:
    started = time.process_time()
    try:
        result = Expression(text).value({"a": value})
    except ValueError:
        result = None
    assert time.process_time() - started < 1
    assert not isinstance(result, str) or len(result) <= 100_000
    assert not isinstance(result, int) or result == value or abs(result) < 1e18


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("amount > 3", {"amount": 4}, True),
        ("amount > 3", {}, False),
        ("order.status == 'sent'", {"order": {"status": "sent"}}, True),
        ("order.lines[0].price * 2", {"order": {"lines": [{"price": 4}]}}, 8),
        ("kind in ('a', 'b') and not done", {"kind": "b"}, True),
        ("1 <= n < 5", {"n": 5}, False),
        ("day < limit", {"day": date(2026, 1, 1), "limit": datetime(2026, 1, 2, 3)}, True),
        ("a + b", {"a": "x", "b": 1}, None),
        ("a - b", {"a": Decimal(1), "b": Decimal(2)}, None),
        ("'\\d' == x", {"x": "\\d"}, True),
    ],
)
def test_what_expressions_say(text: str, values: dict[str, Any], result: Any) -> None:
    assert Expression(text).value(values) == result
