"""The compose files: their servers start from them, and a node opens them over TLS with the least rights."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed import _PROGRAM, DEPLOY, Deployed, compose, holdfast, run, secrets_of

from holdfast import Turn, open_store
from holdfast.backends.redis.forms import functions_of
from holdfast.backends.redis.library import CLUSTER, SERVER
from holdfast.backends.redis.rights import acl_rules
from redis_servers import needs

KINDS = ("sentinel", "cluster")


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    needs("redis-server", "redis-cli", "openssl")
    with Deployed("sentinel", tmp_path_factory.mktemp("sentinel")) as running:
        running.init()
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    needs("redis-server", "redis-cli", "openssl")
    with Deployed("cluster", tmp_path_factory.mktemp("cluster")) as running:
        servers = running.here(running.services["create"]["environment"]["SERVERS"])
        for _ in range(2):  # the second time it finds a Cluster and leaves it alone
            run(
                "sh",
                DEPLOY / "compose" / "cluster" / "create-cluster.sh",
                SECRETS=str(running.secrets),
                SERVERS=servers,
            )
        running.init()
        yield running


@pytest.fixture(params=KINDS)
def deployed(request: pytest.FixtureRequest) -> Deployed:
    found = request.getfixturevalue({"sentinel": "sentinels", "cluster": "cluster"}[request.param])
    assert isinstance(found, Deployed)
    return found


async def answer(turn: Turn) -> None:
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply(f"{turn.state['n']}")


# --- with servers ---


async def test_a_turn_runs_with_the_nodes_url(deployed: Deployed) -> None:
    async with open_store(deployed.url, timeout=10) as store:
        for number in range(8):
            outcome = await store.run_turn(f"s-{number}", answer, input="hello")
            assert outcome.reply == "1"


def test_store_check_finds_nothing_bad_and_nothing_to_mend_but_what_its_user_may_not_see(deployed: Deployed) -> None:
    findings = json.loads(holdfast("store", "check", "--json", deployed.url))["findings"]
    levels: dict[str, set[str]] = {}
    for finding in findings:
        subject = finding["subject"].split()[-1]  # a Cluster's begin with the server
        levels.setdefault(subject, set()).add(finding["level"])
    assert not [finding for finding in findings if finding["level"] == "bad"], findings
    for name in ("rights", "functions", "eviction", "TLS"):
        assert levels[name] == {"ok"}, (name, findings)


def test_the_nodes_user_may_not_read_other_keys_or_run_lua(deployed: Deployed) -> None:
    for command in (("GET", "other"), ("EVAL", "return 1", "0"), ("CONFIG", "GET", "*"), ("KEYS", "*")):
        assert "NOPERM" in deployed.ask("redis-1", *command, user="holdfast")
    assert "NOPERM" in deployed.ask("redis-1", "INFO", user="probe")


def test_a_server_refuses_plain_connections_and_clients_without_a_certificate(deployed: Deployed) -> None:
    ca = str(deployed.secrets / "ca.crt")
    for files in ([], ["--tls", "--cacert", ca]):
        command = ["redis-cli", "-p", str(deployed.ports["redis-1"]), *files, "PING"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        assert "PONG" not in done.stdout


def test_a_node_is_ready_with_its_environment_and_keeps_its_secrets(deployed: Deployed) -> None:
    environment = {**os.environ, **deployed.node_environment()}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", _PROGRAM, "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if found := re.search(r"Open (http://\S+)", line):
                    break
            else:
                pytest.fail(f"the node ended: {printed}")
            base = found[1].rstrip("/")
            with urllib.request.urlopen(f"{base}/readyz", timeout=30) as reply:
                assert reply.status == 200
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{base}/v1/sessions/s-1", timeout=30)
            with urllib.request.urlopen(f"{base}/metrics", timeout=30) as reply:
                assert "holdfast_store_up" in reply.read().decode()
            assert deployed.secret("holdfast-password") not in printed
        finally:
            process.terminate()
            process.wait(30)


async def test_the_set_fails_over_and_the_old_primary_comes_back_as_a_replica(sentinels: Deployed) -> None:
    """Last of those that share the set: rights of the Sentinels' user, and what start.sh keeps of a role."""

    def primary() -> str:
        return next(
            (
                name
                for name in ("redis-1", "redis-2", "redis-3")
                if name in sentinels._running and "role:master" in sentinels.ask(name, "INFO", "replication")
            ),
            "",
        )

    def known(name: str) -> bool:
        """Does this Sentinel know whom it may promote, and whom to ask? It looks for replicas every 10 s only."""
        facts = sentinels.ask(name, "SENTINEL", "MASTER", "main").split()
        return [facts[facts.index(what) + 1] for what in ("num-slaves", "num-other-sentinels")] == ["2", "2"]

    for sentinel in ("sentinel-1", "sentinel-2", "sentinel-3"):
        sentinels.wait_until(lambda sentinel=sentinel: known(sentinel), f"{sentinel} knows the set")
    old = primary()
    async with open_store(sentinels.url, timeout=30, settle=30) as store:
        await store.run_turn("s-over", answer, input="one")
        sentinels.kill(old)
        outcome = await store.run_turn("s-over", answer, input="two")
        assert outcome.reply == "2"
        assert primary() not in ("", old)
        sentinels.start(old)
        sentinels.wait_until(lambda: sentinels.healthy(old), f"{old} is healthy")
        sentinels.wait_until(
            lambda: "master_link_status:up" in sentinels.ask(old, "INFO", "replication"), f"{old} follows"
        )
    sentinels.wait_until(
        lambda: "\nreplicaof " in (sentinels.data(old) / "redis.conf").read_text(), "its file says whom it follows"
    )
    sentinels.kill(old)
    sentinels.start(old)  # made anew from redis.conf, but for the role
    sentinels.wait_until(lambda: sentinels.healthy(old), f"{old} is healthy")
    assert "role:slave" in sentinels.ask(old, "INFO", "replication")


# --- without ---


@pytest.mark.parametrize(("kind", "file", "library"), [("sentinel", "redis", SERVER), ("cluster", "cluster", CLUSTER)])
def test_the_acl_file_has_the_rights_that_store_init_prints(kind: str, file: str, library: Any) -> None:
    lines = (DEPLOY / "compose" / "acl" / f"{file}.acl").read_text().splitlines()
    line = next(line for line in lines if line.startswith("user holdfast "))
    assert line == " ".join(("user holdfast on @holdfast@", *acl_rules(functions_of(library), "hf")))


@pytest.mark.parametrize("kind", KINDS)
def test_every_secret_network_volume_and_file_that_is_named_is_there(kind: str, tmp_path: Path) -> None:
    found = compose(kind)
    made = {file.name for file in secrets_of(kind, tmp_path).iterdir()}
    assert {Path(secret["file"]).name for secret in found["secrets"].values()} <= made
    folder = DEPLOY / "compose" / kind
    for name, service in found["services"].items():
        assert set(service.get("secrets", ())) <= set(found["secrets"]), name
        assert set(service["networks"]) <= set(found["networks"]), name
        assert set(service.get("depends_on", ())) <= set(found["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source == "./backups" or (folder / source).is_file(), (name, source)
            else:
                assert source in found["volumes"], (name, source)
    assert found["networks"]["data"]["internal"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_proxy_is_published_and_no_secret_stands_in_the_file(kind: str) -> None:
    services = compose(kind)["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert all("restart" in service for name, service in services.items() if name != "backup")
    assert all(
        "healthcheck" in service for name, service in services.items() if name.startswith(("redis-", "sentinel-"))
    )
    assert "admin-password" not in {secret for name in ("node-1", "node-2") for secret in services[name]["secrets"]}


def test_secrets_are_kept_by_a_second_run_and_closed_to_others(tmp_path: Path) -> None:
    made = secrets_of("sentinel", tmp_path)
    before = {file.name: file.read_bytes() for file in made.iterdir()}
    secrets_of("sentinel", tmp_path)
    assert {file.name: file.read_bytes() for file in made.iterdir()} == before
    assert made.stat().st_mode & 0o077 == 0
    assert all(len(before[f"{user}-password"].strip()) == 64 for user in ("admin", "holdfast", "replica", "sentinel"))
    assert not [name for name in before if name.endswith(".acl") and re.search(rb"@\w+@", before[name])]


def test_the_proxys_file_is_accepted(tmp_path: Path) -> None:
    needs("haproxy")
    config = (DEPLOY / "compose" / "haproxy.cfg").read_text()
    services = compose("sentinel")["services"]
    assert {name for name in services if name.startswith("node-")} == set(re.findall(r"server (\S+) \1:8080", config))
    done = subprocess.run(
        [str(shutil.which("haproxy")), "-c", "-f", str(DEPLOY / "compose" / "haproxy.cfg")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
