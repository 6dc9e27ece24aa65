"""Export and import: what comes out goes in again, whole or not at all."""

from __future__ import annotations

import datetime
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command_line import cli
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Citation, Message, ToolCall
from holdfast.cli import reading
from holdfast.cli.export_format import message_of, message_parts, tagged, untagged
from holdfast.cli.long_sessions import HALF
from holdfast.sync import Store, open_store
from store_nodes import url_of

STATE: dict[str, Any] = {
    "when": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.timezone(datetime.timedelta(hours=8))),
    "naive": datetime.datetime(2026, 1, 2, 3, 4),
    "day": datetime.date(2026, 1, 2),
    "price": Decimal("1.50"),
    "raw": b"\x00\xff",
    "id": uuid.UUID(int=7),
    "tags": {1, "a", b"b", 2.5, Decimal("3.0"), None, datetime.date(2026, 1, 2)},
    "big": -(10**40),
    "nested": [{"$": "dict", "v": {1: 2}.get(1), "deep": [b"x", {"$": []}]}],
    "$": {"$": {"v": 1}},
    "文": "中文 😀 \u2028 \x00 \x85",
    "float": 1e22,
    "none": None,
}
SAID = Message(
    "assistant",
    "It is shipped.\n\u2028",
    created_at=1_700_000_000.123,
    turn_id="t-1",
    tool_calls=(ToolCall("c-1", "find", {"order": Decimal(1), "$": b"x"}),),
    citations=(Citation("faq.pdf", "quote", "title", 3, 10, 20, "https://example.org"), Citation("b")),
    metadata={"at": STATE["when"], "$": 1},
)


@pytest.fixture(params=["sqlite", "redis"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], list[str]]:
    """Options that name a store to export from, and another one to import into."""
    url = url_of(request.param, request, tmp_path)
    run = uuid.uuid4().hex[:10]
    return ["--store", url, "--tenant", f"a-{run}"], ["--store", url, "--tenant", f"b-{run}"]


def opened(options: list[str]) -> Store:
    return open_store(options[1], tenant=options[3])


def content(options: list[str]) -> dict[str, Any]:
    with opened(options) as store:
        found = {}
        for id_ in store.scan():
            session = store.load(id_, tail=0)
            assert session is not None
            lasts = session.expires_at is not None
            found[id_] = (session.user, dict(session.state), list(store.messages(id_)), lasts)
        return found


def test_a_round_trip_restores_everything(stores: tuple[list[str], list[str]], tmp_path: Path) -> None:
    source, target = stores
    with opened(source) as store:
        store.create("typed", STATE, user="u-1", ttl="2h")
        store.update("typed", {}, append=[SAID, Message("tool", "", tool_call_id="c-1")])
        store.create("empty")
        store.update("long", {"n": 1}, append=[Message.user(f"{n} " + "长" * 20) for n in range(2000)])
        store.set("odd }{\n\r\x00 😀 " + "x" * 200, {})
    file = tmp_path / "sessions.jsonl"
    exported = cli("sessions", "export", "--out", file, "--json", *source)
    assert exported.document == {"exported": 4, "messages": 2002, "left_out": []}
    assert file.stat().st_mode & 0o777 == 0o600
    imported = cli("sessions", "import", file, "--json", *target)
    assert imported.code == 0, imported.err
    assert imported.document["imported"] == 4
    assert content(target) == content(source)
    assert len(content(target)["long"][2]) == 2000
    again = cli("sessions", "import", file, *target)
    assert again.code == 0
    assert "4 exist" in again.out
    with opened(target) as store:
        loaded = store.load("typed", tail=0)
        assert loaded is not None
        assert loaded.version is not None
        assert loaded.version.counter == 1  # one commit
        row = cli("sessions", "show", "typed", "--json", *target).document
        assert row["ttl_s"] == 7200


def test_an_existing_session_is_only_replaced_when_asked(stores: tuple[list[str], list[str]], tmp_path: Path) -> None:
    source, target = stores
    with opened(source) as store:
        store.create("s-1", {"n": 1}, user="u-1")
    with opened(target) as store:
        store.create("s-1", {"mine": 1}, user="u-2")
        store.update("s-1", {}, append=[Message.user("old")])
    file = tmp_path / "sessions.jsonl"
    assert cli("sessions", "export", "s-1", "--out", file, *source).code == 0
    assert cli("sessions", "import", file, *target).code == 0
    assert content(target)["s-1"][1] == {"mine": 1}
    assert cli("sessions", "import", file, "--replace", "--json", *target).document["replaced"] == 1
    assert content(target) == content(source)


def test_export_of_chosen_sessions_to_stdout(stores: tuple[list[str], list[str]]) -> None:
    source, _ = stores
    with opened(source) as store:
        store.set("s-1", {"n": 1})
        store.set("s-2", {"n": 2})
    ran = cli("sessions", "export", "s-2", "nothing", "s-2", *source)
    assert ran.code == 1
    assert "left out nothing" in ran.err
    assert [line["kind"] for line in ran.lines] == ["header", "session", "end", "trailer"]
    assert (ran.lines[0]["version"], ran.lines[1]["id"], ran.lines[-1]["sessions"]) == (1, "s-2", 1)


def test_an_existing_file_is_not_written_over(stores: tuple[list[str], list[str]], tmp_path: Path) -> None:
    file = tmp_path / "sessions.jsonl"
    file.write_text("precious")
    assert cli("sessions", "export", "--out", file, *stores[0]).code == 2
    assert file.read_text() == "precious"


def _three(options: list[str]) -> None:
    with opened(options) as store:
        for id_ in ("s-1", "s-2", "s-3"):
            store.update(id_, {"n": 1}, append=[Message.user("a"), Message.user("b")])


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace(b'"user"', b'"nobody"'),
        lambda line: line.replace(b'"b"', b"NaN"),
        lambda line: line.replace(b'"content":"b"', b'"contents":"b"'),
        lambda line: line.replace(b'"start":0', b'"start":1'),
        lambda line: b"[" * 100_000,
        lambda line: b"\xff\xfe",
        lambda line: b"",
        lambda line: line.replace(b'"messages":[', b'"messages":[5,'),
        lambda line: line.replace(b'"content":"a"', b'"content":"a","metadata":{"x":{"$":"eval","v":"1"}}'),
        lambda line: line.replace(b'"content":"a"', b'"content":"a","metadata":{"x":{"$":"decimal","v":"NaN"}}'),
    ],
)
def test_a_damaged_line_is_named_and_only_its_session_is_left_out(tmp_path: Path, damage: Any) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    _three(source)
    file = tmp_path / "sessions.jsonl"
    cli("sessions", "export", "s-1", "s-2", "s-3", "--out", file, *source)
    lines = file.read_bytes().splitlines()
    lines[5] = damage(lines[5])  # the messages of s-2: line 6
    file.write_bytes(b"\n".join(lines) + b"\n")
    ran = cli("sessions", "import", file, "--json", *target)
    assert (ran.code, ran.document["imported"], ran.document["damaged"]) == (1, 2, 1)
    [problem] = ran.document["problems"]
    assert (problem["id"], "line 6" in problem["why"]) == ("s-2", True), problem
    assert set(content(target)) == {"s-1", "s-3"}


def _sqlite(tmp_path: Path, name: str) -> list[str]:
    return ["--store", f"sqlite:///{tmp_path / name}.db", "--tenant", "t"]


def test_a_damaged_session_line_and_a_missing_end(tmp_path: Path) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    _three(source)
    lines = cli("sessions", "export", "s-1", "s-2", "s-3", *source).out.splitlines()
    lines[1] = lines[1].replace('"state"', '"State"')[:-1]
    del lines[6]  # the end of s-2
    file = tmp_path / "sessions.jsonl"
    file.write_text("\n".join(lines))
    ran = cli("sessions", "import", file, "--json", *target)
    assert [problem["why"].split(" ", 2)[:2] for problem in ran.document["problems"]] == [["line", "2"], ["line", "7"]]
    assert set(content(target)) == {"s-3"}


def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    _three(source)
    lines = cli("sessions", "export", "s-1", "s-2", "s-3", *source).out.splitlines(keepends=True)
    file = tmp_path / "sessions.jsonl"
    file.write_text("".join(lines[:6]))
    within = cli("sessions", "import", file, "--json", *target)
    assert (within.code, within.document["imported"]) == (1, 1)
    file.write_text("".join(lines[:7]))
    between = cli("sessions", "import", file, "--json", *target)
    assert (between.code, "before its trailer" in between.document["problems"][0]["why"]) == (1, True)
    assert set(content(target)) == {"s-1", "s-2"}


def test_what_is_no_export_or_a_newer_one_is_refused(tmp_path: Path) -> None:
    target = _sqlite(tmp_path, "b")
    file = tmp_path / "file"
    for text, says in (
        ("", "empty"),
        ('{"kind":"x"}\n', "not an export"),
        ("hello\n", "line 1"),
        ('{"kind":"header","format":"holdfast-export","version":2}\n', "update holdfast"),
    ):
        file.write_text(text)
        ran = cli("sessions", "import", file, *target)
        assert (ran.code, ran.out) == (1, ""), text
        assert says in ran.err
    assert cli("sessions", "import", tmp_path / "nothing", *target).code == 2


def test_a_session_whose_time_ran_out_stays_away(tmp_path: Path) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    with opened(source) as store:
        store.set("s-1", {"n": 1}, ttl=3600)
    lines = cli("sessions", "export", *source).lines
    lines[1]["expires_at"] = "2020-01-01T00:00:00+00:00"
    file = tmp_path / "sessions.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    assert cli("sessions", "import", file, "--json", *target).document["expired"] == 1
    assert content(target) == {}
    assert cli("sessions", "import", file, "--expired", "--json", *target).document["imported"] == 1
    assert content(target)["s-1"][1] == {"n": 1}


def test_a_session_too_large_for_one_commit_goes_in_parts(
    stores: tuple[list[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = stores
    with opened(source) as store:
        store.create("long", {"n": 1}, user="u-1", ttl="1h")
        store.update("long", {}, append=[Message.user(str(number)) for number in range(650)])
        store.update("short", {}, append=[Message.user("x")])
    file = tmp_path / "sessions.jsonl"
    cli("sessions", "export", "--out", file, *source)
    monkeypatch.setattr(reading, "AT_ONCE_MESSAGES", 100)
    assert cli("sessions", "import", file, "--json", *target).document["imported"] == 2
    assert content(target) == content(source)


def test_an_import_that_broke_off_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    with opened(source) as store:
        store.update("long", {"n": 1}, append=[Message.user(str(number)) for number in range(650)])
    file = tmp_path / "sessions.jsonl"
    cli("sessions", "export", "--out", file, *source)
    monkeypatch.setattr(reading, "AT_ONCE_MESSAGES", 100)
    whole_parts = reading.ExportReader.parts

    def two_parts(self: reading.ExportReader, whole: reading.Whole, skip: int) -> Any:
        for number, part in enumerate(whole_parts(self, whole, skip)):
            if number == 2:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(reading.ExportReader, "parts", two_parts)
    assert cli("sessions", "import", file, *target).code == 130
    monkeypatch.setattr(reading.ExportReader, "parts", whole_parts)
    with opened(target) as store:
        assert store.get("long")[HALF]["done"] == 300
    left_out = cli("sessions", "export", *target)
    assert (left_out.code, "broke off" in left_out.err) == (1, True)
    ran = cli("sessions", "import", file, "--json", *target)
    assert (ran.code, ran.document["resumed"]) == (0, 1)
    assert content(target) == content(source)
    assert cli("sessions", "import", file, "--json", *target).document["exist"] == 1


def test_a_half_imported_session_that_was_used_since_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = _sqlite(tmp_path, "a"), _sqlite(tmp_path, "b")
    with opened(source) as store:
        store.update("long", {"n": 1}, append=[Message.user(str(number)) for number in range(300)])
    file = tmp_path / "sessions.jsonl"
    cli("sessions", "export", "--out", file, *source)
    with opened(target) as store:
        store.update("long", {HALF: {"source": "another", "done": 1}}, append=[Message.user("x")])
    monkeypatch.setattr(reading, "AT_ONCE_MESSAGES", 100)
    ran = cli("sessions", "import", file, *target)
    assert ran.code == 1
    assert "holdfast sessions rm" in ran.err
    assert len(content(target)["long"][2]) == 1


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=40)
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC)).map(
        lambda time: time.replace(fold=0)
    )  # as the codec does
    | st.dates()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS | st.sets(st.text() | st.integers(), max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.just("$"), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_survives_json(value: Any) -> None:
    back = untagged(json.loads(json.dumps(tagged(value))))
    assert repr(_ordered(back)) == repr(_ordered(value))


def _ordered(value: Any) -> Any:
    if isinstance(value, set):
        return ("set", sorted(map(repr, value)))
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        return {name: _ordered(item) for name, item in value.items()}
    return value


def test_every_part_of_a_message_survives_json() -> None:
    assert message_of(json.loads(json.dumps(message_parts(SAID)))) == SAID
