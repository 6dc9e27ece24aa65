"""Moving in: what an application keeps in Redis is taken over, again and again, and no turn of Holdfast's is lost to it."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import moving_sources
import pytest
from command_line import cli
from moving_sources import Application, Home, take_over

from holdfast import Message
from holdfast.cli import long_sessions, moving_target, reading
from holdfast.cli.long_sessions import HALF
from holdfast.sync import Turn

application_server = moving_sources.application_server
application = moving_sources.application
home = moving_sources.home


def counts(document: Any) -> dict[str, int]:
    """What is not 0."""
    names = ("imported", "extended", "replaced", "renewed", "unchanged", "kept", "expired", "rejected")
    return {name: document[name] for name in names if document[name]}


def hello(turn: Turn) -> None:
    turn.reply("hello from Holdfast")


# --- the first time --------------------------------------------------------------------------------------------------


def test_sessions_of_set_ex_json_need_no_mapping(application: Application, home: Home) -> None:
    application.say("chat:s-1", "你好", "您好！", user_id="u-7", slots={"city": "上海", "n": 1.5})
    application.put("chat:s-2", {"logged_in": True}, ttl=None)
    application.put("other:s-3", {"n": 1})
    ran = take_over(application, home)
    assert (ran.code, counts(ran.document)) == (0, {"imported": 2}), ran.err
    assert home.ids() == ["s-1", "s-2"]
    assert home.state("s-1") == {"user_id": "u-7", "slots": {"city": "上海", "n": 1.5}}
    assert home.messages("s-1") == [
        Message("user", "你好", created_at=1_700_000_000.0),
        Message("assistant", "您好！", created_at=1_700_000_001.0),
    ]
    assert home.state("s-2") == {"logged_in": True}
    assert 3500 < home.shown("s-1")["ttl_s"] <= 3600
    assert home.shown("s-2")["ttl_s"] is None


def test_the_source_is_only_read(application: Application, home: Home) -> None:
    application.say("chat:s-1", "hi")
    application.command("RPUSH", "chat:list", json.dumps({"role": "user", "content": "hi"}))
    application.command("HSET", "chat:hash", "step", "2", "cart", '["tea"]')
    application.reset_stats()
    assert counts(take_over(application, home).document) == {"imported": 3}
    calls = {name.split("|")[0] for name in application.calls()}
    reads = {"scan", "type", "strlen", "llen", "hlen", "get", "lrange", "hgetall", "pttl", "dbsize"}
    assert calls <= reads | {"client", "config", "hello", "select", "info"}, calls - reads
    assert home.state("hash") == {"step": "2", "cart": ["tea"]}
    assert home.said("list") == ["hi"]


def test_an_empty_source_is_no_error(application: Application, home: Home) -> None:
    ran = cli("store", "import", application.url, "--pattern", "chat:*", *home.options)
    assert (ran.code, "no keys match" in ran.out) == (0, True)


def test_large_values_and_long_histories(application: Application, home: Home) -> None:
    application.say("chat:long", *("长" * 50 + str(number) for number in range(1000)))
    application.put("chat:large", {"blob": "茶" * 1_000_000})
    assert counts(take_over(application, home).document) == {"imported": 2}
    assert home.said("long")[-1] == "长" * 50 + "999"
    assert home.state("large") == {"blob": "茶" * 1_000_000}
    too_large = take_over(application, home, "--max-bytes", 10_000)
    assert (too_large.code, too_large.document["reasons"]) == (1, {"too_large": 2})


def test_the_targets_own_keys_on_the_same_server_are_passed_over(application: Application) -> None:
    own = Home(application.url)
    application.put("s-1", {"n": 1})
    assert counts(take_over(application, own, "--pattern", "*").document) == {"imported": 1}
    assert counts(take_over(application, own, "--pattern", "*").document) == {"unchanged": 1}


# --- again -----------------------------------------------------------------------------------------------------------


def test_a_second_run_takes_only_what_has_changed(application: Application, home: Home) -> None:
    for number in range(30):
        application.say(f"chat:s-{number}", "one", "two", step=1)
    assert counts(take_over(application, home).document) == {"imported": 30}
    assert counts(take_over(application, home).document) == {"unchanged": 30}
    assert home.shown("s-3")["version"] == 1
    application.say("chat:s-3", "one", "two", "three", step=2)
    application.say("chat:new", "hi")
    assert counts(take_over(application, home).document) == {"imported": 1, "extended": 1, "unchanged": 29}
    assert (home.said("s-3"), home.state("s-3")) == (["one", "two", "three"], {"step": 2})
    assert counts(take_over(application, home).document) == {"unchanged": 31}
    application.say("chat:s-3", "one", "two", "three")  # a key of the state has gone
    assert counts(take_over(application, home).document) == {"extended": 1, "unchanged": 30}
    assert home.state("s-3") == {}


def test_a_source_that_keeps_its_last_messages_only_loses_none_here(application: Application, home: Home) -> None:
    said = [f"text {number}" for number in range(12)]
    for last in range(4, 13, 2):
        application.say("chat:s-1", *said[max(0, last - 4) : last])
        assert take_over(application, home).code == 0
    assert home.said("s-1") == said


@pytest.mark.parametrize("rewritten", [["one", "2"], ["one"], ["other", "talk"], []])
def test_a_history_that_was_rewritten_is_replaced(application: Application, home: Home, rewritten: list[str]) -> None:
    application.say("chat:s-1", "one", "two", "three", step=1)
    take_over(application, home)
    application.say("chat:s-1", *rewritten, step=2)
    assert counts(take_over(application, home).document) == {"replaced": 1}
    assert (home.said("s-1"), home.state("s-1")) == (rewritten, {"step": 2})
    assert counts(take_over(application, home).document) == {"unchanged": 1}


def test_a_value_that_comes_back_is_taken_again(application: Application, home: Home) -> None:
    for step in (1, 2, 1, 2):
        application.say("chat:s-1", "hi", step=step)
        assert take_over(application, home).code == 0
        assert home.state("s-1") == {"step": step}


def test_a_key_that_lives_longer_than_it_seemed_is_renewed(application: Application, home: Home) -> None:
    application.say("chat:s-1", "hi", ttl=100)
    application.say("chat:s-2", "hi", ttl=100)
    take_over(application, home)
    application.command("EXPIRE", "chat:s-1", 7200)
    application.command("PERSIST", "chat:s-2")
    assert counts(take_over(application, home).document) == {"renewed": 2}
    assert 7000 < home.shown("s-1")["ttl_s"] <= 7200
    assert home.shown("s-2")["ttl_s"] is None
    assert counts(take_over(application, home).document) == {"unchanged": 2}


def test_another_mapping_is_applied_to_what_is_there(application: Application, home: Home, tmp_path: Path) -> None:
    application.say("chat:s-1", "hi", step=1, user_id="u-1")
    take_over(application, home)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('user = "user_id"\n[state]\nexclude = ["user_id"]\nrename = { step = "stage" }\n')
    assert counts(take_over(application, home, "--mapping", mapping).document) == {"replaced": 1}
    assert home.state("s-1") == {"stage": 1}
    assert home.shown("s-1")["user"] == "u-1"


# --- sessions that Holdfast has used since ---------------------------------------------------------------------------


def test_a_session_that_was_used_since_is_left_alone(application: Application, home: Home) -> None:
    application.say("chat:s-1", "one", "two", step=1)
    application.say("chat:s-2", "one", "two", step=1)
    take_over(application, home)
    with home.open() as store:
        for id_ in ("s-1", "s-2"):
            store.run_turn(id_, hello, input="three", turn_id="t-1")
    application.say("chat:s-2", "one", "two", "meanwhile", step=2)
    ran = take_over(application, home)
    assert (ran.code, counts(ran.document)) == (1, {"kept": 1, "rejected": 1})
    [reject] = ran.document["rejects"]
    assert (reject["key"], reject["reason"]) == ("chat:s-2", "diverged")
    assert "--overwrite" in reject["why"]
    for id_ in ("s-1", "s-2"):
        assert home.said(id_) == ["one", "two", "three", "hello from Holdfast"]
        assert home.state(id_) == {"step": 1}


def test_a_session_of_state_alone_that_was_used_since_is_left_alone(application: Application, home: Home) -> None:
    application.put("chat:s-1", {"step": 1})
    take_over(application, home)
    with home.open() as store:
        store.update("s-1", {"step": 2})
    assert take_over(application, home).document["reasons"] == {"diverged": 1}
    assert home.state("s-1") == {"step": 2}
    with home.open() as store:
        store.update("s-1", {"step": 1})
    assert counts(take_over(application, home).document) == {"kept": 1}


def test_a_session_of_another_origin_is_left_alone(application: Application, home: Home) -> None:
    with home.open() as store:
        store.set("s-1", {"mine": 1})
    application.say("chat:s-1", "hi")
    application.say("chat:s-1b", "hi")
    assert counts(take_over(application, home).document) == {"imported": 1, "rejected": 1}
    assert home.state("s-1") == {"mine": 1}


def test_overwrite_replaces_what_was_used_since(application: Application, home: Home) -> None:
    application.say("chat:s-1", "one", step=1)
    take_over(application, home)
    with home.open() as store:
        store.run_turn("s-1", hello, input="two", turn_id="t-1")
    assert counts(take_over(application, home, "--overwrite").document) == {"replaced": 1}
    assert home.said("s-1") == ["one"]
    assert counts(take_over(application, home, "--overwrite").document) == {"unchanged": 1}


def test_a_session_that_was_deleted_here_comes_back_while_the_source_has_it(
    application: Application, home: Home
) -> None:
    application.say("chat:s-1", "one")
    take_over(application, home)
    with home.open() as store:
        store.delete("s-1")
    assert counts(take_over(application, home).document) == {"imported": 1}


def test_the_state_carries_no_mark(application: Application, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "AT_ONCE_MESSAGES", 100)
    application.say("chat:s-1", *map(str, range(450)), step=1)
    take_over(application, home)
    assert home.state("s-1") == {"step": 1}
    application.say("chat:s-1", *map(str, range(700)), step=2)
    assert counts(take_over(application, home).document) == {"extended": 1}
    assert home.said("s-1") == [str(number) for number in range(700)]
    assert home.state("s-1") == {"step": 2}
    assert all(message.metadata == {} and message.turn_id == "" for message in home.messages("s-1"))


def test_a_long_session_that_broke_off_goes_on(
    application: Application, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks_off(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "AT_ONCE_MESSAGES", 100)
    monkeypatch.setattr(moving_target, "write_parts", breaks_off)
    application.say("chat:s-1", *map(str, range(450)), step=1)
    assert take_over(application, home).code == 130
    assert home.state("s-1")[HALF]["done"] == 100
    monkeypatch.setattr(moving_target, "write_parts", long_sessions.write_parts)
    assert counts(take_over(application, home).document) == {"extended": 1}
    assert (home.said("s-1"), home.state("s-1")) == ([str(number) for number in range(450)], {"step": 1})


# --- what cannot be taken over ---------------------------------------------------------------------------------------


def test_what_cannot_be_taken_over_is_named_and_stops_nothing(
    application: Application, home: Home, tmp_path: Path
) -> None:
    text = json.dumps({"n": 1}).encode()
    bad: dict[bytes, tuple[bytes, str, str]] = {
        b"chat:gzip": (gzip.compress(text), "not_json", "gzip"),
        b"chat:zlib": (zlib.compress(text), "not_json", "zlib"),
        b"chat:pickle": (pickle.dumps({"n": 1}), "not_json", "pickle"),
        b"chat:pickle0": (pickle.dumps({"n": 1}, protocol=0), "not_json", "pickle"),
        b"chat:binary": (b"\xff\xfe\x00", "not_json", "UTF-8"),
        b"chat:cut": (b'{"n": 1', "not_json", "not JSON"),
        b"chat:nan": (b'{"n": NaN}', "not_json", "NaN"),
        b"chat:inf": (b'{"n": 1e999}', "bad_value", "inf"),
        b"chat:deep": (b"[" * 100_000, "not_json", "recursion"),
        b"chat:surrogate": (b'{"n": "\\ud800"}', "bad_value", "Unicode"),
        b"chat:twice": (b'{"n": 1, "m": 0, "n": 2}', "duplicate_key", "'n'"),
        b"chat:number": (b"42", "not_a_session", "a number"),
        b"chat:null": (b"null", "not_a_session", "null"),
        b"chat:empty": (b"", "not_json", "not JSON"),
        b"chat:role": (b'[{"role": "wizard", "content": "x"}]', "unknown_role", "wizard"),
        b"chat:norole": (b'[{"content": "x"}]', "unknown_role", "no role"),
        b"chat:nocontent": (b'[{"role": "user", "body": "x"}]', "bad_message", "no content"),
        b"chat:list": (b"[1]", "bad_message", "a number"),
        b"chat:reserved": (b'{"holdfast:import": 1}', "bad_state", "Holdfast's own"),
        b"chat:\xff\x00": (text, "bad_key", "UTF-8"),
        b"chat:" + b"x" * 257: (text, "bad_id", "256"),
        b"chat:": (text, "bad_id", "1 to 256"),
    }
    for key, (value, _, _) in bad.items():
        application.put(key, value)
    application.command("SADD", "chat:set", "a")
    application.put("chat:good", {"n": 1})
    file = tmp_path / "rejects.jsonl"
    ran = take_over(application, home, "--rejects", file)
    assert (ran.code, counts(ran.document)) == (1, {"imported": 1, "rejected": len(bad) + 1})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = {line["key"]: line for line in lines}
    assert len(found) == len(bad) + 1
    for key, (_, reason, word) in bad.items():
        line = found[key.decode("utf-8", "backslashreplace")]
        assert (line["reason"], word in line["why"]) == (reason, True), line
    assert found["chat:\\xff\x00"]["key_base64"] == "Y2hhdDr/AA=="
    assert found["chat:set"]["reason"] == "wrong_type"
    assert home.ids() == ["good"]
    people = cli("store", "import", application.url, "--pattern", "chat:*", *home.options)
    assert people.code == 1
    assert "1 unchanged" in people.out
    assert "not taken over" in people.out
    assert "and 3 more" in people.err


def test_a_key_that_expires_under_its_reader_is_no_error(application: Application, home: Home) -> None:
    for number in range(200):
        application.command("SET", f"chat:{number}", '{"n": 1}', "PX", 1 + number % 40)
    while True:
        ran = take_over(application, home)
        assert (ran.code, ran.document["rejected"]) == (0, 0), ran
        if not application.command("DBSIZE"):
            break


def test_a_source_that_is_not_there_is_said(home: Home) -> None:
    ran = cli("store", "import", "redis://127.0.0.1:1/0", "--pattern", "chat:*", *home.options)
    assert ran.code == 1
    assert "did not answer" in ran.err
    for url in ("redis+sentinel://h:1/s", "memory:", "http://h", "redis://h:port/0"):
        ran = cli("store", "import", url, "--pattern", "chat:*", *home.options)
        assert ran.code == 2, ran.err
        assert "\n" not in ran.err.strip()


def test_a_password_is_never_shown(home: Home) -> None:
    ran = cli("store", "import", "redis://me:secret@127.0.0.1:1/0", "--pattern", "chat:*", *home.options)
    assert (ran.code, "secret" in ran.err) == (1, False)


# --- the preview -----------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_and_writes_nothing(application: Application, home: Home) -> None:
    for number in range(5):
        application.say(f"chat:s-{number}", "one", f"二 {number}", step=number)
    application.put("chat:bad", "{")
    table = cli("store", "import", application.url, "--pattern", "chat:*", "--dry-run", *home.options)
    assert table.code == 1  # one of them cannot be taken over
    assert "二 3" in table.out
    assert "not JSON" in table.out
    rows = cli("store", "import", application.url, "--pattern", "chat:s-*", "--dry-run", "--first", 3, "--json").lines
    assert len(rows) == 3
    assert all(row["messages"][0]["content"] == "one" and 3000 < row["ttl_s"] <= 3600 for row in rows)
    assert take_over(application, home).document["imported"] == 5
