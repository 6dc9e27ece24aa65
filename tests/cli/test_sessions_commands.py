"""``holdfast sessions ls``, ``show`` and ``rm``, and how errors look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import cli

from holdfast import Message, Sensitive, __version__
from holdfast.sync import open_store
from store_nodes import url_of


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def here(url: str, tmp_path: Path) -> list[str]:
    """Options that name a store with sessions in it."""
    tenant = tmp_path.name[-40:]
    with open_store(url, tenant=tenant, ttl="2h") as store:
        store.create("s-1", {"logged_in": True, "step": 3}, user="u-7")
        store.update("s-1", {}, append=[Message.user(f"question {n}") for n in range(30)])
        store.create("s-2", {}, user="u-7")
        store.set("hostile\x1b[31m\n[bold]", {"x": "\x1b]0;title\x07"})
        store.touch("hostile\x1b[31m\n[bold]", "3h")
    return ["--store", url, "--tenant", tenant]


def test_ls_lists_meta_and_nothing_hostile_reaches_the_terminal(here: list[str]) -> None:
    ran = cli("sessions", "ls", *here)
    assert ran.code == 0
    [row] = [line for line in ran.out.splitlines() if line.startswith("s-1")]
    assert row.split()[:4] == ["s-1", "u-7", "2", "30"]
    assert row.rstrip().endswith(("2h", "1h 59m"))
    assert "\x1b" not in ran.out
    assert r"hostile\x1b[31m\n[bold]" in ran.out


def test_ls_as_json_lines(here: list[str]) -> None:
    rows = {row["id"]: row for row in cli("sessions", "ls", "--json", *here).lines}
    assert set(rows) == {"s-1", "s-2", "hostile\x1b[31m\n[bold]"}
    assert (rows["s-1"]["user"], rows["s-1"]["version"], rows["s-1"]["messages"], rows["s-1"]["ttl_s"]) == (
        "u-7", 2, 30, 7200,
    )  # fmt: skip
    assert rows["s-1"]["expires_at"].endswith("+00:00")


def test_ls_of_a_user_and_with_a_limit(here: list[str]) -> None:
    assert {row["id"] for row in cli("sessions", "ls", "--user", "u-7", "--json", *here).lines} == {"s-1", "s-2"}
    limited = cli("sessions", "ls", "--limit", 1, *here)
    assert len(limited.out.splitlines()) == 2
    assert "There are more" in limited.err
    assert len(cli("sessions", "ls", "--limit", 0, "--json", *here).lines) == 3
    assert cli("sessions", "ls", "--user", "nobody", *here) == (0, "", "No sessions.\n")


def test_show_tells_state_meta_and_the_last_messages(here: list[str]) -> None:
    ran = cli("sessions", "show", "s-1", "--messages", 2, *here)
    assert ran.code == 0
    for part in ("u-7", "logged_in", "true", "question 28", "question 29", "the last 2 of 30", "2h after its last"):
        assert part in ran.out
    assert "question 27" not in ran.out
    shown = cli("sessions", "show", "s-1", "--messages", 1, "--json", *here).document
    assert shown["state"] == {"logged_in": True, "step": 3}
    assert [message["content"] for message in shown["last_messages"]] == ["question 29"]
    assert "\x1b" not in cli("sessions", "show", "hostile\x1b[31m\n[bold]", *here).out


def test_rm_deletes_and_tells_what_was_missing(here: list[str]) -> None:
    refused = cli("sessions", "rm", "s-1", *here)
    assert (refused.code, refused.out) == (2, "")
    assert "--yes" in refused.err
    ran = cli("sessions", "rm", "s-1", "nothing", "--yes", "--json", *here)
    assert (ran.code, ran.document) == (1, {"deleted": ["s-1"], "missing": ["nothing"]})
    assert cli("sessions", "rm", "s-2", "-y", *here) == (0, "deleted s-2\n", "")
    assert [row["id"] for row in cli("sessions", "ls", "--json", *here).lines] == ["hostile\x1b[31m\n[bold]"]


def test_a_damaged_session_is_shown_as_damaged_and_hides_no_other(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "s.db"
    with open_store(f"sqlite:///{path}") as store:
        store.set("good", {})
        store.set("torn", {"x": 1})
        store.update("torn", {}, append=[Message.user("a"), Message.user("b")])
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        log = next(name for name in tables if "log" in name or "entr" in name)
        db.execute(f"DELETE FROM {log} WHERE rowid = (SELECT min(rowid) FROM {log})")
    db.close()
    ran = cli("sessions", "show", "torn", "--store", f"sqlite:///{path}")
    assert ran.code == 1
    assert "torn" in ran.err
    listed = cli("sessions", "ls", "--json", "--store", f"sqlite:///{path}").lines
    assert {row["id"] for row in listed} == {"good", "torn"}


def test_errors_are_one_line_with_the_next_step(here: list[str]) -> None:
    missing = cli("sessions", "show", "nothing", *here)
    assert (missing.code, missing.out, missing.err.count("\n")) == (1, "", 1)
    as_json = cli("sessions", "show", "nothing", "--json", *here)
    assert (as_json.code, as_json.out) == (1, "")
    assert json.loads(as_json.err)["error"] == "SessionNotFound"
    nowhere = cli("sessions", "ls")
    assert nowhere.code == 2
    assert "--store URL" in nowhere.err
    assert "Traceback" in cli("sessions", "show", "nothing", "--debug", *here).err
    assert "Traceback" not in missing.err
    usage = cli("sessions", "ls", "--frobnicate", "--json", *here)
    assert usage.code == 2
    assert json.loads(usage.err)["error"] == "UsageError"
    assert cli("sessions", "ls", "--frobnicate", *here).code == 2
    assert cli("sessions", "show", "x" * 257, *here).code == 1


def test_passwords_are_never_printed() -> None:
    for url in ("redis://u:s3cret@127.0.0.1:1/0", "mysql://u:s3cret@host/db"):
        for command in (["sessions", "ls", "--store", url], ["store", "check", url]):
            for extra in ([], ["--debug"], ["--json"]):
                ran = cli(*command, *extra)
                assert ran.code in (1, 2)
                assert "s3cret" not in ran.out + ran.err


def test_the_real_command(here: list[str]) -> None:
    command = [sys.executable, "-W", "error", "-m", "holdfast.cli.main"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert (version.returncode, version.stdout) == (0, f"holdfast {__version__}\n")
    env = {**os.environ, "HOLDFAST_STORE": here[1]}
    listed = subprocess.run([*command, "sessions", "ls", "--json", *here[2:]], capture_output=True, text=True, env=env)
    assert (listed.returncode, listed.stderr, len(listed.stdout.splitlines())) == (0, "", 3)
    head = subprocess.run(
        f"{sys.executable} -m holdfast.cli.main sessions export {' '.join(here[2:])} | head -c 5",
        shell=True, capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert (head.stdout, head.stderr) == ('{"kin', "") or head.stderr.endswith("exported\n")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no', name='typer')")
    ran = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", "--version"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "holdfast: the command line is an extra; install it: pip install 'holdfast[cli]'\n"


def test_a_mistyped_file_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    for command in (["ls"], ["show", "s"], ["rm", "s", "--yes"], ["export"]):
        ran = cli("sessions", *command, "--store", f"sqlite:///{tmp_path / 'typo.db'}")
        assert (ran.code, ran.out, "no file" in ran.err) == (2, "", True)
    assert cli("sessions", "ls", "--store", "memory:").code == 2
    assert not list(tmp_path.iterdir())


def test_show_masks_what_the_config_calls_sensitive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url, number = f"sqlite:///{tmp_path / 's.db'}", "13912345678"
    with open_store(url) as store:
        store.set("s", {"phone": number, "own": Sensitive("Jane Doe", "name"), "n": 1})
        store.update("s", {}, append=[Message.user(f"it is {number}"), Message.user("jane@example.com")])
    here = ["sessions", "show", "s", "--store", url]
    assert "J***" in cli(*here).out and "Jane" not in cli(*here).out
    (tmp_path / "holdfast.toml").write_text('[sensitive]\nphone = "phone"\nmail = "email"\n')
    shown = cli(*here, "--json").document
    assert shown["state"] == {"phone": "139****5678", "own": "J***", "n": 1}
    assert [one["content"] for one in shown["last_messages"]] == ["it is 139****5678", "j***@example.com"]
    assert number not in cli(*here).out
    clear = cli(*here, "--clear", "--json").document
    assert clear["state"]["phone"] == number
    assert clear["last_messages"][0]["content"] == f"it is {number}"
