"""The file: what is in the sample, what overrides what, and each error with its file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.config import Config, load_config
from holdfast.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_settings_around")

TASK = """
[[tasks]]
name = "t"
title = { zh = "题", en = "title" }
triggers = { en = ["go"] }
tool = "holdfast.samples.tools:find_order"
[[tasks.slots]]
name = "phone"
type = "phone"
prompt = { zh = "手机?", en = "Phone?" }
[tasks.replies.done]
text = { zh = "好", en = "Done" }
"""
CHANNEL = """
[channels.shop]
secrets = ["a secret of some length"]
callback_url = "https://chat.example/replies"
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        file = tmp_path / "holdfast.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_the_sample_is_complete() -> None:
    config = load_config()
    assert config.store.url == "sqlite:///holdfast.db"
    assert config.store.options == {"ttl": "30d"}
    assert config.server.host == "127.0.0.1"
    assert config.knowledge.folders[0].name == "knowledge" and config.knowledge.folders[0].is_absolute()
    assert config.sensitive == {"phone": "phone"}
    assert config.tasks == () and config.assistant.flows[0].name == "flows" and config.assistant.flows[0].is_dir()
    assert not config.model.configured


def test_an_empty_file_is_all_defaults(written: Any) -> None:
    assert load_config(written("")) == Config()


def test_a_store_is_a_url_with_options(written: Any) -> None:
    config = load_config(written('[store]\nurl = "memory:"\nttl = "2h"\ntail = 5'))
    assert config.store.options == {"ttl": "2h", "tail": 5}
    assert load_config(written('store = "memory:"')).store.url == "memory:"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nprt = 1", "server.prt is not a setting; did you mean 'port'?"),
        ("[servr]\nport = 1", "servr is not a setting; did you mean 'server'?"),
        ("[store]\nttll = 1", "store.ttll is not a setting; did you mean 'ttl'?"),
        ("[model]\nxyz = 1", "model.xyz is not a setting; there are: api_key, base_url"),
        ("[server]\nport = 'many'", "server.port: Input should be a valid integer"),
        ("[server]\nport = 99999", "server.port: Input should be less than or equal to 65535"),
        ("[server]\ndrain = 'soon'", "server.drain: duration='soon' is not a duration"),
        ("[server]\nhost = '0.0.0.0'", "server: host '0.0.0.0' can be reached from other machines"),
        ("[server]\naccess_key_file = 'none'", "server: access_key_file 'none' cannot be read"),
        ("[store]\ntail = -1", "store: tail=-1 has to be a whole number"),
        ("[sensitive]\nphone = 'fone'", "sensitive.phone: should be 'email', 'iban', 'id_card'"),
        ("[assistant]\nlanguages = ['fr']", "assistant.languages[1]: Input should be 'zh' or 'en'"),
        ("[assistant]\nlanguages = []", "assistant.languages: Tuple should have at least 1 item"),
        (TASK.replace("prompt", "promt"), "tasks[1].slots[1].promt is not a setting; did you mean 'prompt'?"),
        (TASK.replace("prompt", "promt"), "tasks[1].slots[1].prompt: Field required"),
        (TASK.replace('zh = "手机?", ', ""), "task 't': slots.phone.prompt has no text for language 'zh'"),
        (TASK.replace('type = "phone"', 'type = "pattern"'), "slot 'phone': `pattern` belongs to type"),
        (
            TASK.replace('type = "phone"', 'type = "pattern"\npattern = "("'),
            "slots[1].pattern: is not a regular expression",
        ),
        (TASK + 'ask = "fone"', "replies.done.ask names no slot of task 't'; did you mean 'phone'?"),
        (TASK + TASK, "two tasks have one name"),
        ("[channels.shop]\nsecrts = 1", "channels.shop.secrts is not a setting; did you mean 'secrets'?"),
        ("[channels.shop]\nkind = 'generic'", 'channels.shop: kind = "generic" needs secrets'),
        ("[channels.shop]\nkind = 'wechat'\napp_id = 'x'", 'channels.shop: kind = "wechat" needs secrets'),
        (CHANNEL + "app_id = 'x'", 'channels.shop: app_id does not belong to kind = "generic"'),
        (CHANNEL + "options = {a = 1}", "channels.shop: options are for an adapter of your own"),
        (CHANNEL.replace("secrets", "secrets = ['short'] #"), "channels.shop: a secret has at least 16 characters"),
        (CHANNEL.replace("https", "file"), "channels.shop.callback_url: is not a URL"),
        (CHANNEL + "secrets_file = 'none'", "channels.shop: secrets_file 'none' cannot be read"),
        (CHANNEL + "[server]\nrecovery_every = 0", "channels need recovery"),
        ("[server\nport = 1", "not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        ("a = 1\nb = x", "not TOML: Invalid value (at line 2, column 5)"),
    ],
)
def test_an_error_names_file_and_key(written: Any, text: str, says: str) -> None:
    file = written(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "none.toml")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "x.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_overrides_stand_above_environment_above_file(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written("[server]\nport = 1\nnode = 'file'\ndrain = 1")
    monkeypatch.setenv("HOLDFAST_SERVER__PORT", "2")
    monkeypatch.setenv("HOLDFAST_SERVER__NODE", "environment")
    server = load_config(file, {"server": {"node": "caller"}}).server
    assert (server.port, server.node, server.drain) == (2, "caller", 1)


def test_a_url_alone_names_the_store(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written("[store]\nurl = 'memory:'\nttl = 60")
    monkeypatch.setenv("HOLDFAST_STORE", "redis://localhost:6379/0")
    store = load_config(file).store
    assert store.url == "redis://localhost:6379/0" and store.options == {"ttl": 60}
    assert load_config(file, {"store": "sqlite:///x.db"}).store.url == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "HOLDFAST_SERVER__PORT",
            "many",
            "environment variable HOLDFAST_SERVER__PORT: Input should be a valid integer",
        ),
        (
            "HOLDFAST_SERVER__PRT",
            "1",
            "environment variable HOLDFAST_SERVER__PRT is not a setting; did you mean 'port'?",
        ),
        (
            "HOLDFAST_SERVR__PORT",
            "1",
            "environment variable HOLDFAST_SERVR__PORT names no section; did you mean 'server'?",
        ),
        ("HOLDFAST_SERVER", "x", "write JSON there, or HOLDFAST_SECTION__KEY=value"),
    ],
)
def test_an_error_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert says in str(caught.value)


def test_other_variables_are_not_minded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SOAK", "1")
    load_config()


def test_the_models_usual_variables_are_read_below_the_file(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://usual/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    model = load_config(written("")).model
    assert model.configured and model.base_url == "http://usual/v1"
    assert load_config(written('[model]\nbase_url = "http://file/v1"')).model.base_url == "http://file/v1"


def test_access_keys_open_the_host_and_may_stand_in_a_file(tmp_path: Path, written: Any) -> None:
    (tmp_path / "keys").write_text("one\n\ntwo\n")
    server = load_config(
        written(f"[server]\nhost = '0.0.0.0'\naccess_keys = ['zero']\naccess_key_file = '{tmp_path}/keys'")
    ).server
    assert server.keys == ("zero", "one", "two")


def test_secrets_are_in_no_repr_and_no_error(written: Any) -> None:
    text = """
        store = "redis://user:canary@localhost/0"
        [model]
        api_key = "canary"
        [server]
        access_keys = ["canary"]
    """
    config = load_config(written(text))
    assert "canary" not in f"{config!r} {config} {config.store!r} {config.model!r} {config.server!r}"
    with pytest.raises(ConfigError) as caught:
        load_config(written(text.replace('access_keys = ["canary"]', 'access_keys = { a = "canary" }')))
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load_config(written('[model]\napi_key = ["canary"]\n[server]\nport = "canary"'))
    assert "canary" not in str(caught.value)
