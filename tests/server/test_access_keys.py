"""Access keys: of the config and of a file that changes, compared in constant time."""

from __future__ import annotations

import ast
import hmac
import inspect
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_kit import bearer, section, site, users_cookie
from fastapi import Depends, FastAPI
from server_kit import kind
from starlette.applications import Starlette
from starlette.routing import Mount

import holdfast.server
from holdfast.config.access import AccessSection, KeySection
from holdfast.errors import ConfigError
from holdfast.server.identities import cookies, keys
from holdfast.server.identities.keys import AccessKeys, hash_of, write_keys
from holdfast.server.rules import enforce

HERE = "http://holdfast.test"


def key_of(name: str, **more: Any) -> KeySection:
    return KeySection.model_validate({"name": name, "hash": hash_of(name), **more})


def touched(file: Path) -> None:
    """As if a second had gone by: also a file system with coarse times tells the difference."""
    at = file.stat().st_mtime_ns + 1_000_000_000
    os.utime(file, ns=(at, at))


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_LOOK_EVERY_S", 0.0)


@pytest.mark.usefixtures("looks_at_once")
def test_keys_come_and_go_with_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys.toml"
    write_keys(file, [key_of("one")])
    known = AccessKeys([], file)
    assert known.find(b"one") is not None
    write_keys(file, [key_of("two", tenant="bank", user="ann", scopes=["handover"])])
    touched(file)
    assert known.find(b"one") is None
    found = known.find(b"two")
    assert found is not None
    assert (found.caller.tenant, found.caller.user, *found.caller.scopes) == ("bank", "ann", "handover")
    file.write_text("[[keys]]\nname = 1")
    with caplog.at_level(logging.ERROR):
        assert known.find(b"two") is not None  # a slip of the pen locks nobody out
    assert "those of before" in caplog.text
    file.unlink()
    assert known.find(b"two") is not None


def test_a_key_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known = AccessKeys([keys.known_key(key_of("one", expires="2030-01-01T00:00:00Z"))])
    ends = 1_893_456_000.0
    monkeypatch.setattr(time, "time", lambda: ends - 1)
    assert known.find(b"one") is not None
    monkeypatch.setattr(time, "time", lambda: ends)
    assert known.find(b"one") is None
    assert not known.still(known._given[0].digest[:16])


def test_staff_without_a_name_of_its_own_goes_by_the_keys() -> None:
    assert keys.known_key(key_of("help", role="operator")).caller.user == "help"
    assert keys.known_key(key_of("shop")).caller.user == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[keys]]\nname = 'x'\nhash = 'md5:1'", "sha256"),
        ("[[keys]]\nname = 'x'\nhash = 'HASH'\nrole = 'boss'", "'user', 'operator' or 'admin'"),
        ("[[keys]]\nname = 'x'\nhash = 'HASH'\ntenant = \"a\\u001Ffailed\"", "control characters"),
        ("[[keys]]\nname = 'x'\nhash = 'HASH'\n[[keys]]\nname = 'x'\nhash = 'HASH'", "two keys have one name"),
        ("[[key]]\nname = 'x'", "has 'key' beside"),
        ("keys", "not TOML"),
    ],
)
def test_a_file_that_is_wrong_at_the_start_stops_the_server(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text.replace("HASH", hash_of("x")))
    with pytest.raises(ConfigError, match=said):
        AccessKeys([], file)


@pytest.mark.usefixtures("looks_at_once")
async def test_with_a_key_goes_the_cookie_of_who_logged_in_with_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    write_keys(file, [key_of("one", user="ann")])
    async with site({"key_file": file}) as server:
        login = await server.http.post("/v1/login", headers={"Authorization": "Bearer one"})
        assert login.json()["user"] == "ann"
        assert (await server.http.get("/v1/me")).json()["user"] == "ann"
        write_keys(file, [])
        touched(file)
        assert kind(await server.http.get("/v1/me")) == "unauthorized"


async def test_keys_of_servers_short_form_go_on_beside_the_others() -> None:
    async with site(server={"access_keys": ["plain"], "operator_keys": ["staff"]}) as server:
        for key, role, user in (("plain", "user", ""), ("staff", "operator", "")):
            me = (await server.http.get("/v1/me", headers={"Authorization": f"Bearer {key}"})).json()
            assert (me["role"], me["user"], me["tenant"]) == (role, user, "")
        assert (await server.http.get("/v1/me", headers=bearer("operator", "bank"))).json()["tenant"] == "bank"


async def test_below_another_path_it_asks_as_well() -> None:
    async with site() as server:
        app = Starlette(routes=[Mount("/chat", server.app)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://holdfast.test") as http:
            assert kind(await http.get("/chat/v1/me")) == "unauthorized"
            assert kind(await http.get("/chat/metrics")) == "unauthorized"
            assert (await http.get("/chat/v1/me", headers=bearer("user"))).json()["user"] == "ann"
        bare = FastAPI(dependencies=[Depends(enforce)])  # without the rim nobody is known, and nobody let in

        @bare.get("/v1/info")
        async def info() -> None: ...

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(bare, raise_app_exceptions=False), base_url=HERE
        ) as http:
            assert (await http.get("/v1/info")).status_code == 500  # the refusal, which has no handler here


def test_the_secrets_of_the_config_are_in_no_repr() -> None:
    given = AccessSection.model_validate({"secret": "canary" * 8, "keys": [section("x")]})
    assert "canary" not in repr(given)
    assert given.secrets == ("canary" * 8,)
    with pytest.raises(ValueError, match="at least 32"):
        AccessSection.model_validate({"secret": "short"})


@pytest.mark.parametrize("origin", ["*", "https://a.example/", "a.example", "ftp://a.example", "null"])
def test_an_origin_is_named(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        AccessSection.model_validate({"origins": [origin]})


# --- constant time ---

SECRETS = {"digest", "mac", "given", "signature", "csrf", "secret", "key_digest", "sent"}


def server_files() -> Iterator[Path]:
    yield from Path(inspect.getfile(holdfast.server)).parent.rglob("*.py")


def compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Places where something that is called like a secret is compared with ``==`` or looked up with ``in``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
        ):
            for side in (node.left, *node.comparators):
                name = side.id if isinstance(side, ast.Name) else side.attr if isinstance(side, ast.Attribute) else ""
                if name in SECRETS:
                    yield node.lineno, name


def test_secrets_are_compared_by_compare_digest_only() -> None:
    found = [(file.name, *place) for file in server_files() for place in compared(ast.parse(file.read_text()))]
    assert found == []
    assert list(compared(ast.parse("if digest == known: pass\nif x in csrf: pass")))  # it would find some


async def test_every_key_and_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        lengths.append((len(one), len(other)))
        return bool(compare(one, other))

    for module in (keys, cookies):
        monkeypatch.setattr(module.hmac, "compare_digest", counted)
    async with site() as server:
        await server.http.get("/v1/me", headers=bearer("user"))
        assert lengths == [(32, 32)] * 8  # all of them, though the second fits
        lengths.clear()
        await server.http.post("/v1/logout", headers=users_cookie("ann"))
        assert lengths == [(32, 32), (43, 43)]
