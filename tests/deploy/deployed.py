"""The servers of deploy/compose/*/compose.yaml as processes of this machine: the same files, other paths, ports and addresses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from holdfast.testing.places import free_port

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_WITHIN_S: Final = 60.0
_PROGRAM: Final = "from holdfast.cli.main import main; raise SystemExit(main())"


def compose(kind: str) -> dict[str, Any]:
    """The compose file of ``sentinel`` or ``cluster``."""
    found = yaml.safe_load((DEPLOY / "compose" / kind / "compose.yaml").read_text())
    assert isinstance(found, dict)
    return found


def secrets_of(kind: str, folder: Path) -> Path:
    """Runs make-secrets.sh as the compose file says, for the names that its servers have."""
    names = re.findall(r"make-secrets\.sh secrets (.+)", (DEPLOY / "compose" / kind / "compose.yaml").read_text())
    made = folder / "secrets"
    run("sh", DEPLOY / "compose" / "make-secrets.sh", made, *names[0].split())
    return made


def run(*command: Any, **variables: str) -> str:
    """Runs a command to its end; what it printed. Fails with that text where it fails."""
    done = subprocess.run(
        [str(part) for part in command], env={**os.environ, **variables}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout


def holdfast(*arguments: str, **variables: str) -> str:
    """Runs ``holdfast ...``."""
    return run(sys.executable, "-c", _PROGRAM, *arguments, **variables)


class Deployed:
    """The Redis servers (and Sentinels) of one compose file, for a ``with``. Names and addresses become 127.0.0.1 with ports of
    their own, /run/secrets a folder; all the rest is what the files say."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.services: dict[str, Any] = compose(kind)["services"]
        self.secrets = secrets_of(kind, folder)
        self.servers = [name for name in self.services if name.startswith(("redis-", "sentinel-"))]
        self.ports = {name: free_port() for name in self.servers}
        self._bus = {name: free_port() for name in self.servers if kind == "cluster"}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for name in self.servers:
                self.start(name)
            for name in self.servers:
                self.wait_until(lambda name=name: self.healthy(name), f"{name} is healthy")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for name in list(self._running):
            self.kill(name)

    # --- servers ---

    def data(self, name: str) -> Path:
        """A server's folder: its volume."""
        return self.folder / name

    def start(self, name: str) -> None:
        """Runs the service's own command."""
        kind = self.services[name]["command"][-1]
        etc = self.folder / f"{name}-etc"
        etc.mkdir(exist_ok=True)
        self.data(name).mkdir(exist_ok=True)
        text = self.here((DEPLOY / "compose" / self.kind / f"{kind}.conf").read_text())
        text = re.sub(r"^tls-port \d+$", f"tls-port {self.ports[name]}\nbind 127.0.0.1", text, flags=re.MULTILINE)
        if name in self._bus:
            text = re.sub(r"^cluster-port \d+$", f"cluster-port {self._bus[name]}", text, flags=re.MULTILINE)
        (etc / f"{kind}.conf").write_text(text)
        said = {name: self.here(value) for name, value in (self.services[name].get("environment") or {}).items()}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["sh", str(DEPLOY / "compose" / "start.sh"), kind],
                env={**os.environ, "ETC": str(etc), "DATA": str(self.data(name)), "SECRETS": str(self.secrets), **said},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def healthy(self, name: str) -> bool:
        """What the service's health check says."""
        test = [self.here(part) for part in self.services[name]["healthcheck"]["test"][1:]]
        test[test.index("-p") + 1] = str(self.ports[name])
        return subprocess.run(test, capture_output=True, text=True, timeout=20).stdout.strip() == "PONG"

    def ask(self, name: str, *command: str, user: str = "admin") -> str:
        """A command's reply, as this user."""
        files = [self.secrets / file for file in ("ca.crt", "client.crt", "client.key")]
        tls = ["--tls", "--cacert", files[0], "--cert", files[1], "--key", files[2]]
        login = ["--user", user, "--no-auth-warning"]
        password = "admin" if user == "probe" else user
        return run(
            "redis-cli",
            *login,
            *tls,
            "-p",
            self.ports[name],
            *command,
            REDISCLI_AUTH=self.secret(f"{password}-password"),
        )

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def wait_until(self, seen: Any, what: str) -> None:
        ends = time.monotonic() + _WITHIN_S
        while not seen():
            if time.monotonic() > ends:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-800:]}" for name in self.servers)
                raise TimeoutError(f"not within {_WITHIN_S:g} s: {what}\n{logs}")
            time.sleep(0.1)

    # --- what the nodes are told ---

    def here(self, text: str) -> str:
        """Text of the compose file with this machine's addresses and paths."""
        text = str(text).replace("/run/secrets", str(self.secrets))
        for name, port in self.ports.items():
            address = self._address(name)
            text = re.sub(rf"\b{re.escape(address)}([: ])\d+\b", rf"127.0.0.1\g<1>{port}", text)  # HOST:PORT, HOST PORT
            in_url = f"127.0.0.1:{port}" if "://" in text else "127.0.0.1"
            text = re.sub(rf"\b{re.escape(address)}\b", in_url, text)
        return text

    def _address(self, name: str) -> str:
        if self.kind == "cluster":
            return str(self.services[name]["networks"]["data"]["ipv4_address"])
        return name

    def node_environment(self, name: str = "node-1") -> dict[str, str]:
        """A node's variables, but for the address that it listens on: loopback, any free port."""
        said = {key: self.here(value) for key, value in self.services[name]["environment"].items()}
        return {
            **said,
            "HOLDFAST_SERVER__HOST": "127.0.0.1",
            "HOLDFAST_SERVER__PORT": "0",
            "XDG_DATA_HOME": str(self.folder),
        }

    @property
    def url(self) -> str:
        """The nodes' store."""
        return self.node_environment()["HOLDFAST_STORE__URL"]

    def init(self) -> str:
        """Runs the command of the service ``init``, again until it succeeds, as Compose would."""
        command = [self.here(part) for part in self.services["init"]["command"]]
        ends = time.monotonic() + _WITHIN_S
        while True:
            try:
                return holdfast(*command)
            except AssertionError:
                if time.monotonic() > ends:
                    raise
