"""The layouts of other frameworks, and what a mapping file makes of one's own."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import moving_sources
import pytest
from command_line import cli
from moving_sources import Application, Home, take_over

from holdfast import Message, ToolCall
from holdfast.cli.moving_mapping import load_mapping
from holdfast.errors import ConfigError

application_server = moving_sources.application_server
application = moving_sources.application
home = moving_sources.home

GUIDE = (Path(__file__).parents[2] / "docs" / "moving-in.md").read_text()


def untimed(messages: list[Message]) -> list[tuple[Any, ...]]:
    return [(m.role, m.content, m.tool_calls, m.tool_call_id, m.metadata) for m in messages]


def test_langchain(application: Application, home: Home) -> None:
    application.langchain(
        "s:1",
        ("system", "be kind", {}),
        ("human", "你好", {"additional_kwargs": {"channel": "web"}}),
        ("ai", "", {"tool_calls": [{"name": "find", "args": {"q": 1}, "id": "c-1", "type": "tool_call"}]}),
        ("tool", "found", {"tool_call_id": "c-1", "status": "success"}),
        ("AIMessageChunk", [{"type": "text", "text": "part a, "}, {"type": "text", "text": "part b"}], {}),
        ("chat", "as a role of its own", {"role": "assistant"}),
    )
    assert take_over(application, home, "--from", "langchain").document["imported"] == 1
    assert untimed(home.messages("s:1")) == [
        ("system", "be kind", (), "", {}),
        ("user", "你好", (), "", {"additional_kwargs": {"channel": "web"}}),
        ("assistant", "", (ToolCall("c-1", "find", {"q": 1}),), "", {}),
        ("tool", "found", (), "c-1", {"status": "success"}),
        ("assistant", "part a, part b", (), "", {}),
        ("assistant", "as a role of its own", (), "", {}),
    ]
    assert 500 < home.shown("s:1")["ttl_s"] <= 600
    application.langchain("s:1", ("human", "more", {}))
    assert take_over(application, home, "--from", "langchain").document["extended"] == 1
    assert home.said("s:1")[-1] == "more"


def test_openai_agents(application: Application, home: Home) -> None:
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": []}
    application.openai_agents(
        "s-1",
        {"role": "user", "content": "你好"},
        {"type": "function_call", "call_id": "c-1", "name": "find", "arguments": '{"q":1}', "id": "fc_1"},
        {"type": "function_call_output", "call_id": "c-1", "output": "found"},
        reasoning,
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "done", "annotations": []}],
        },
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "u"}],
        },
    )
    application.command("HSET", "agents:session:s-1", "plan", "gold")
    assert take_over(application, home, "--from", "openai-agents").document["imported"] == 1
    image = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "u"}]
    assert untimed(home.messages("s-1")) == [
        ("user", "你好", (), "", {}),
        ("assistant", "", (ToolCall("c-1", "find", {"q": 1}),), "", {"id": "fc_1"}),
        ("tool", "found", (), "c-1", {}),
        ("assistant", "", (), "", {"item": reasoning}),
        ("assistant", "done", (), "", {"id": "msg_1", "status": "completed"}),
        ("user", "look", (), "", {"content": image}),
    ]
    assert home.state("s-1") == {"plan": "gold"}  # what the framework itself keeps there is left out
    assert take_over(application, home, "--from", "openai-agents").document["unchanged"] == 1


def test_llamaindex_of_now_and_before(application: Application, home: Home) -> None:
    application.llamaindex(
        "s-1",
        {"role": "system", "blocks": [{"block_type": "text", "text": "a"}, {"block_type": "text", "text": "b"}]},
        {"role": "chatbot", "content": "as older releases wrote it"},
        {"role": "tool", "additional_kwargs": {"tool_call_id": "c-1"}, "blocks": [{"block_type": "text", "text": "r"}]},
        {"role": "user", "blocks": [{"block_type": "image", "url": "u"}]},
    )
    assert take_over(application, home, "--from", "llamaindex", "--pattern", "s-*").document["imported"] == 1
    [id_] = home.ids()
    assert id_ == "1"  # what follows the pattern's fixed beginning
    assert untimed(home.messages(id_)) == [
        ("system", "a\nb", (), "", {}),
        ("assistant", "as older releases wrote it", (), "", {}),
        ("tool", "r", (), "c-1", {}),
        ("user", "", (), "", {"content": [{"block_type": "image", "url": "u"}]}),
    ]


def test_openai_chat_messages_under_plain_json(application: Application, home: Home) -> None:
    call = {"id": "c-1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}
    odd = {"id": "c-2", "type": "function", "function": {"name": "find", "arguments": "not JSON"}}
    application.put(
        "chat:s-1",
        [
            {"role": "developer", "content": "be kind"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c-1", "content": "found", "name": "find"},
            {"role": "assistant", "content": "", "tool_calls": [odd]},
        ],
    )
    assert take_over(application, home).code == 0
    assert untimed(home.messages("s-1")) == [
        ("system", "be kind", (), "", {}),
        ("assistant", "", (ToolCall("c-1", "find", {"q": 1}),), "", {}),
        ("tool", "found", (), "c-1", {"name": "find"}),
        ("assistant", "", (), "", {"tool_calls": [odd]}),  # not understood, and so kept as it was
    ]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(1_700_000_000, 1_700_000_000), (1_700_000_000_500, 1_700_000_000.5), ("2023-11-14T22:13:20Z", 1_700_000_000)],
)
def test_times_of_three_kinds(application: Application, home: Home, written: Any, seconds: float) -> None:
    application.put("chat:s-1", [{"role": "user", "content": "x", "time": written}])
    assert take_over(application, home).code == 0
    [message] = home.messages("s-1")
    assert (message.created_at, message.metadata) == (seconds, {})


def test_a_time_that_is_none_stays_with_the_message(application: Application, home: Home) -> None:
    application.put("chat:s-1", [{"role": "user", "content": "x", "time": "yesterday"}])
    assert take_over(application, home).code == 0
    assert home.messages("s-1")[0].metadata == {"time": "yesterday"}


# --- the mapping file ------------------------------------------------------------------------------------------------


def test_the_guides_example(application: Application, home: Home, tmp_path: Path) -> None:
    """docs/moving-in.md: its mapping, on its value, makes what it says."""
    [mapping] = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    value, made = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL))
    file = tmp_path / "mapping.toml"
    file.write_text(mapping)
    application.put("prod:chat:acme:s-1", value)
    tenant = Home(home.url)
    tenant.tenant = "acme"
    with tenant.open() as store:
        store.delete("s-1")  # of another test: the mapping names the tenant
    rows = cli("store", "import", application.url, "--pattern", "prod:chat:*", "--mapping", file, "--dry-run", "--json")
    [row] = rows.lines
    assert {name: row[name] for name in made} == made
    ran = take_over(application, home, "--pattern", "prod:chat:*", "--mapping", file)
    assert ran.document["imported"] == 1, ran.err
    assert tenant.state("s-1") == made["state"]


@pytest.mark.parametrize("example", re.findall(r"^    holdfast (store import .*)$", GUIDE, re.MULTILINE))
def test_the_guides_commands(application: Application, home: Home, example: str, tmp_path: Path) -> None:
    application.say("chat:s-1", "hi")
    words = shlex.split(example, comments=True)
    given = [{"redis://old:6379/0": application.url, "$STORE": home.url}.get(word, word) for word in words]
    if "--mapping" in given:
        file = tmp_path / "mapping.toml"
        file.write_text("")
        given[given.index("--mapping") + 1] = str(file)
    if "--rejects" in given:
        given[given.index("--rejects") + 1] = str(tmp_path / "rejects.jsonl")
    if "--follow" in given:
        at = given.index("--follow")
        assert float(given[at + 1]) > 0
        del given[at : at + 2]
    ran = cli(*given, "--tenant", home.tenant)
    assert ran.code == 0, ran.err


def test_what_becomes_state_can_be_chosen(application: Application, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text('ttl = "2h"\n[messages]\nat = "data.log"\n[state]\ninclude = ["a", "data"]\nrename = { a = "b" }\n')
    application.put("chat:s-1", {"a": 1, "c": 2, "data": {"log": [{"role": "bot", "text": "x"}], "more": 1}})
    assert take_over(application, home, "--mapping", file).code == 0
    assert (home.state("s-1"), home.said("s-1")) == ({"b": 1, "data": {"more": 1}}, ["x"])
    assert home.shown("s-1")["ttl_s"] == 7200
    file.write_text('ttl = "none"\nduplicate_keys = "last"\n')
    application.put("chat:s-2", b'{"n": 1, "n": 2}')
    take_over(application, home, "--mapping", file)
    assert (home.state("s-2"), home.shown("s-2")["ttl_s"]) == ({"n": 2}, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ttl = \nuser = 'x'", "line 1"),
        ("tll = 3", "tll is not a setting; did you mean 'ttl'?"),
        ("[messages]\nrolle = 'x'", "messages.rolle is not a setting; did you mean 'role'?"),
        ("[messages]\nrole = 3", "messages.role"),
        ("[roles]\nwizard = 'magician'", "roles[...]"),
        ("[key]\nregex = '('", "key.regex is not a regular expression"),
        ("[key]\nregex = 'chat:(.*)'", "(?P<id>...)"),
        ("ttl = 'soon'", "ttl='soon'"),
        ("ttl = -3", "ttl=-3"),
        ("companion = 'x'", "{id}"),
        ("[state]\nrename = { a = 'x', b = 'x' }", "state.rename"),
        ("duplicate_keys = 'first'", "duplicate_keys"),
    ],
)
def test_a_wrong_mapping_names_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_mapping(file, "json", "chat:*")
    assert str(file) in str(caught.value)
    assert says in str(caught.value)


def test_a_pattern_is_needed_where_no_preset_has_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--pattern"):
        load_mapping(None, "llamaindex", "")
    with pytest.raises(ConfigError, match="no such file"):
        load_mapping(tmp_path / "none.toml", "json", "chat:*")


@pytest.mark.parametrize(
    ("pattern", "key", "id_"),
    [
        ("chat:*", b"chat:a:b", "a:b"),
        (r"a\*b:?*", b"a*b:x", "x"),
        ("[ab]:*", b"a:1", "a:1"),
        ("*", "会话".encode(), "会话"),
    ],
)
def test_an_id_is_what_follows_the_fixed_beginning(pattern: str, key: bytes, id_: str) -> None:
    assert load_mapping(None, "json", pattern).identity_of(key).id == id_
