"""``holdfast store init``: what an administrator runs once, and what a node can do after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from command_line import cli

from holdfast.backends.redis.library import SERVER
from holdfast.testing.servers import RedisServer
from store_nodes import needs_redis_server

DOCS = Path(__file__).parents[2] / "docs" / "backends.md"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    needs_redis_server()
    with RedisServer() as server:
        yield server


def node_url(server: RedisServer, password: str, user: str = "node") -> str:
    return server.url.replace("//", f"//{user}:{password}@")


def test_it_loads_the_functions_and_prints_a_line_that_suffices(server: RedisServer) -> None:
    ran = cli("store", "init", server.url, "--user", "node")
    assert ran.code == 0, ran.err
    assert SERVER.name in ran.out
    [line] = [line for line in ran.out.splitlines() if line.startswith("ACL SETUSER")]
    assert SERVER.name in str(server.command("FUNCTION", "LIST"))
    assert "node" not in str(server.command("ACL", "USERS"))  # printing does nothing
    server.command(*line.replace("PASSWORD", "secret").split())
    report = cli("store", "check", node_url(server, "secret"), "--json")
    assert report.code == 0, report.err
    levels = {finding["subject"]: finding["level"] for finding in report.document["findings"]}
    assert levels["rights"] == levels["functions"] == levels["write and read"] == levels["eviction"] == "ok"


def test_the_docs_show_the_line_as_it_is_printed(server: RedisServer) -> None:
    line = cli("store", "init", server.url, "--json").document["line"]
    assert line in DOCS.read_text("utf-8")


def test_it_makes_the_user_with_a_password_that_is_shown_once(server: RedisServer) -> None:
    made = cli(
        "store", "init", server.url, "--apply", "node", "--generate-password", "--prefix", "mine", "--json"
    ).document
    assert made["applied"] and len(made["password"]) >= 32
    assert made["password"] not in str(server.command("ACL", "LIST"))
    url = node_url(server, made["password"]) + "?prefix=mine"
    assert cli("store", "check", url).code == 0
    assert cli("store", "check", url.replace("mine", "other")).code == 2
    again = cli("store", "init", server.url, "--apply", "node", "--prefix", "mine")  # new rights, the same password
    assert again.code == 0, again.err
    assert made["password"] not in again.out + again.err
    assert "CONFIG REWRITE" in again.out and "replica" in again.out
    assert cli("store", "check", url).code == 0


def test_the_password_comes_from_a_file_or_the_environment(server: RedisServer, tmp_path: Path) -> None:
    nobody = cli("store", "init", server.url, "--apply", "node")
    assert (nobody.code, "needs a password" in nobody.err) == (2, True), nobody.err
    file = tmp_path / "password"
    file.write_text("from a file\n")
    assert cli("store", "init", server.url, "--apply", "node", "--password-file", file).code == 0
    assert cli("store", "check", node_url(server, "from%20a%20file")).code == 0
    with mock.patch.dict(os.environ, HOLDFAST_NODE_PASSWORD="rotated"):
        assert cli("store", "init", server.url, "--apply", "node").code == 0
    assert cli("store", "check", node_url(server, "from%20a%20file")).code == 2
    assert cli("store", "check", node_url(server, "rotated")).code == 0


def test_saving_the_user_is_asked_for_where_there_is_a_file(tmp_path: Path) -> None:
    needs_redis_server()
    (tmp_path / "users.acl").touch()
    with RedisServer({"aclfile": str(tmp_path / "users.acl")}) as server:
        ran = cli("store", "init", server.url, "--apply", "node", "--generate-password")
    assert "ACL SAVE" in ran.out and "shown this once" in ran.out


def test_who_is_no_administrator_is_told_so(server: RedisServer) -> None:
    made = cli("store", "init", server.url, "--apply", "node", "--generate-password", "--json").document
    url = node_url(server, made["password"])
    refused = cli("store", "init", url, "--apply", "other", "--generate-password")
    assert (refused.code, "administrator" in refused.err) == (2, True)
    server.command("FUNCTION", "FLUSH")
    for command in ("init", "check"):
        ran = cli("store", command, url, "--json")
        error = json.loads(ran.err)
        assert (ran.code, error["error"]) == (2, "ConfigError")
        assert "holdfast store init" in error["message"] and "'node'" in error["message"]
        assert made["password"] not in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("sqlite:///x.db",),
        ("memory:",),
        ("redis://127.0.0.1:1/0", "--generate-password"),
        ("redis://127.0.0.1:1/0", "--user", "a", "--apply", "b"),
        ("redis://127.0.0.1:1/0", "--user", "a b"),
        ("redis://127.0.0.1:1/0", "--prefix", "a:b"),
        ("redis://127.0.0.1:1/0", "--apply", "a", "--password-file", "/nowhere"),
    ],
)
def test_a_wrong_call_says_why(args: tuple[str, ...]) -> None:
    ran = cli("store", "init", *args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("holdfast: ")
