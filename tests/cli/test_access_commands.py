"""``holdfast access``."""

from __future__ import annotations

import stat
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from command_line import cli

from holdfast.server.identities.keys import AccessKeys, hash_of


def test_a_key_is_shown_once_and_its_digest_is_for_the_config() -> None:
    made = cli("access", "new-key", "--name", "shop", "--tenant", "bank", "--expires", "90d")
    assert made.code == 0
    key = next(line.strip() for line in made.out.splitlines() if line.startswith("  hf_"))
    (entry,) = tomllib.loads(made.out.partition("For the config:")[2])["access"]["keys"]
    assert entry["hash"] == hash_of(key)
    assert (entry["name"], entry["tenant"], entry["role"]) == ("shop", "bank", "user")
    assert timedelta(days=89) < entry["expires"] - datetime.now(UTC) <= timedelta(days=90)
    assert len(key) == 46
    assert cli("access", "new-key", "--name", "shop").out != made.out


def test_keys_of_a_file_are_added_listed_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    made = cli("access", "new-key", "--name", 'o"ne', "--role", "admin", "--file", file, "--json")
    other = cli(
        *("access", "new-key", "--name", "two", "--file", file, "--scope", "sessions:read", "--expires", "2020-01-01")
    )
    assert (made.code, other.code) == (0, 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.document["key"] not in file.read_text()
    one, two = cli("access", "ls", "--file", file, "--json").document
    assert (one["name"], one["over"], two["name"], two["over"]) == ('o"ne', False, "two", True)
    assert two["scopes"] == ["sessions:read"]
    assert "hash" not in one
    assert "two" in cli("access", "ls", "--file", file).out
    known = AccessKeys([], file)
    assert known.find(made.document["key"].encode()) is not None
    assert cli("access", "revoke", 'o"ne', "--file", file).code == 0
    assert [key["name"] for key in cli("access", "ls", "--file", file, "--json").document] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["keys.toml"]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    cli("access", "new-key", "--name", "one", "--file", file)
    for args, said in (
        (("new-key", "--name", "x", "--role", "boss"), "--role"),
        (("new-key", "--name", "x", "--scope", "all"), "--scope"),
        (("new-key", "--name", "x", "--expires", "soon"), "not a duration"),
        (("new-key", "--name", "one", "--file", file), "there is a key 'one' already"),
        (("revoke", "two", "--file", file), "there is no key 'two'"),
        (("ls", "--file", tmp_path / "none"), "cannot be read"),
    ):
        ran = cli("access", *args)
        assert ran.code == 2
        assert said in ran.err


def test_keys_of_the_config_are_listed(tmp_path: Path) -> None:
    config, file = tmp_path / "holdfast.toml", tmp_path / "keys.toml"
    cli("access", "new-key", "--name", "filed", "--file", file)
    config.write_text(f"[access]\nkey_file = '{file}'\n[[access.keys]]\nname = 'written'\nhash = '{hash_of('k')}'\n")
    rows = cli("access", "ls", "--config", config, "--json").document
    assert [row["name"] for row in rows] == ["written", "filed"]
