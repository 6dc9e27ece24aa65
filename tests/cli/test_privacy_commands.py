"""``holdfast keys`` and ``holdfast privacy``, on a real file, in processes of their own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from command_line import Ran, cli

from holdfast import Message, Turn, open_store
from holdfast.config import load_config
from holdfast.turns.tenants import AUDIT

CANARY = "canary-19af"


async def _answer(turn: Turn) -> None:
    turn.state["secret"] = CANARY
    turn.reply(CANARY)


def _config(folder: Path, keys: dict[str, str], current: str) -> Path:
    file = folder / "holdfast.toml"
    written = ", ".join(f'{name} = "{key}"' for name, key in keys.items())
    file.write_text(
        f'[store]\nurl = "sqlite:///{folder / "s.db"}"\n[knowledge]\nindex = ""\n'
        f'[encryption]\nkeys = {{ {written} }}\ncurrent = "{current}"\n'
    )
    return file


def _filled(config: Path) -> str:
    settings = load_config(config)

    async def fill() -> None:
        async with open_store(settings.store.url, encryption=settings.encryption.opened()) as store:
            for user in ("ann", "bob"):
                await store.run_turn(f"{user}-1", _answer, input=CANARY, user=user)

    asyncio.run(fill())
    return settings.store.url


@pytest.fixture
def ring() -> dict[str, str]:
    return {name: holdfast("keys", "new").out.strip() for name in ("one", "two")}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def holdfast(*args: object, code: int = 0) -> Ran:
    """A command that is expected to end with this code."""
    ran = cli(*args)
    assert ran.code == code, ran.err
    return ran


def test_keys_are_rotated_and_the_old_one_is_of_no_use(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    url = _filled(config)
    at = ("--store", url, "--config", str(config))
    assert holdfast("keys", "ls", *at, "--json").document["keys"] == [{"key": "one", "state": "current", "wraps": 2}]
    _config(tmp_path, ring, "two")
    report = holdfast("keys", "rotate", *at, "--json").document
    assert (report["rotated"], report["failed"], report["unused"]) == (2, 0, ["one"])
    again = holdfast("keys", "rotate", *at, "--json").document
    assert again["rotated"] <= 1  # what the audit log made
    _config(tmp_path, {"two": ring["two"]}, "two")
    assert CANARY in holdfast("sessions", "show", "ann-1", *at, "--json").out
    _config(tmp_path, {"one": ring["one"]}, "one")
    refused = holdfast("sessions", "show", "ann-1", *at, code=1)
    assert "no key 'two'" in refused.err


def test_a_user_is_exported_and_erased(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    at = ("--store", _filled(config), "--config", str(config))
    out = tmp_path / "ann.json"
    holdfast("privacy", "export", "--user", "ann", "--out", str(out), *at)
    assert out.stat().st_mode & 0o077 == 0
    document = json.loads(out.read_text())
    assert [session["id"] for session in document["sessions"]] == ["ann-1"]
    assert document["sessions"][0]["state"] == {"secret": CANARY}
    assert document["deliveries"] == []
    assert "--yes" in holdfast("privacy", "erase", "--user", "ann", *at, "--json", code=2).err
    done = holdfast("privacy", "erase", "--user", "ann", *at, "--json", "--yes").document
    assert (done["sessions"], done["key_destroyed"], done["left"]) == (1, True, [])
    nothing = holdfast("privacy", "export", "--user", "ann", *at).document
    assert nothing["sessions"] == []
    assert CANARY in holdfast("sessions", "show", "bob-1", *at, "--json").out
    entries = holdfast("privacy", "audit", *at, "--json").lines
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("user.export", "ann"),
        ("user.erase", "ann"),
        ("user.export", "ann"),
    ]
    assert holdfast("privacy", "readmit", "--user", "ann", *at, "--json").document["readmitted"] is True


def test_what_is_missing_is_said(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    url = _filled(config)
    plain = tmp_path / "plain.toml"
    plain.write_text(f'[store]\nurl = "{url}"\n')
    at = ("--store", url, "--config", str(plain))
    assert "no key ring is set up" in holdfast("sessions", "show", "ann-1", *at, code=1).err
    assert "there is no key ring" in holdfast("keys", "ls", *at, code=2).err
    assert "no [privacy.retention] rules" in holdfast("privacy", "sweep", *at, code=2).err
    broken = _config(tmp_path, {"one": "not base64!"}, "one")
    assert "is not base64" in holdfast("check", "--config", str(broken), code=1).out


def test_a_vault_that_is_not_the_nodes_own_is_no_erasure(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, ring, "two")
    url = _filled(config)
    config.write_text(config.read_text() + 'vault = "sqlite:///elsewhere.keys"\n')
    assert "there is no vault" in holdfast("privacy", "erase", "--user", "ann", "--store", url, "--yes", code=2).err
    assert not (tmp_path / "elsewhere.keys").exists()


def test_an_export_is_for_its_owner_only_also_over_a_file_that_was_there(tmp_path: Path, ring: dict[str, str]) -> None:
    url = _filled(_config(tmp_path, ring, "two"))
    out = tmp_path / "out.json"
    out.touch(mode=0o644)
    holdfast("privacy", "export", "--user", "ann", "--store", url, "--out", out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert CANARY in out.read_text()


def test_commands_without_the_ring_refuse_an_encrypted_store(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    at = ("--store", _filled(config))
    config.rename(tmp_path / "elsewhere.toml")
    for command in (
        ("privacy", "erase", "--user", "ann", "--yes"),
        ("privacy", "export", "--user", "ann"),
        ("privacy", "audit"),
        ("sessions", "export"),
        ("sessions", "rm", "ann-1", "--yes"),
    ):
        assert "there is no key ring" in holdfast(*command, *at, code=2).err, command
    (tmp_path / "elsewhere.toml").rename(config)
    assert CANARY in holdfast("sessions", "show", "ann-1", *at, "--json").out
    holdfast("sessions", "rm", "ann-1", "--yes", *at)
    assert [entry["action"] for entry in holdfast("privacy", "audit", *at, "--json").lines] == ["session.delete"]


def test_a_line_of_the_audit_log_that_cannot_be_read_hides_no_other(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    at = ("--store", _filled(config))
    holdfast("privacy", "export", "--user", "ann", *at)
    asyncio.run(_planted(f"sqlite:///{tmp_path / 's.db'}"))
    holdfast("privacy", "export", "--user", "bob", *at)
    seen = [(entry["action"], entry["target"]) for entry in holdfast("privacy", "audit", *at, "--json", code=1).lines]
    assert [action for action, _ in seen] == ["user.export", "log.unreadable", "user.export"]
    assert (seen[0][1], seen[2][1]) == ("ann", "bob")


async def _planted(url: str) -> None:
    """Somebody who has no key writes into the log of the day."""
    async with open_store(url) as store:
        notes = store.beside(AUDIT)
        (day,) = (await notes.by_user("audit")).ids
        await notes.update(day, {}, append=[Message("system", "{}")])


def test_a_tenant_without_rules_is_not_swept(tmp_path: Path) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text('[store]\nurl = "sqlite:///s.db"\n[privacy.retention]\nsessions = "1s"\n')
    asyncio.run(_one_session())
    at = ("--store", "sqlite:///s.db")
    assert holdfast("privacy", "sweep", "--dry-run", *at, "--json").document["looked_at"] == 1
    assert "no [privacy.retention] rules" in holdfast("privacy", "sweep", "--tenant", "bank", *at, code=2).err


async def _one_session() -> None:
    async with open_store("sqlite:///s.db") as store:
        await store.set("s", {"a": 1})


def test_a_user_of_whom_nothing_is_kept_is_said_to_be_unknown(tmp_path: Path, ring: dict[str, str]) -> None:
    config = _config(tmp_path, {"one": ring["one"]}, "one")
    at = ("--store", _filled(config))
    said = holdfast("privacy", "erase", "--user", "never-was", "--yes", *at).out
    assert "nothing was kept of user never-was in tenant ''" in said
    assert "is destroyed" not in said


def test_check_reads_the_file_of_access_keys(tmp_path: Path) -> None:
    config = tmp_path / "holdfast.toml"
    config.write_text('[knowledge]\nindex = ""\n[access]\nkey_file = "keys.toml"\n')
    found = holdfast("check", "--config", config, code=1).out
    assert "holdfast.toml:4: access.key_file: keys.toml: cannot be read" in found
