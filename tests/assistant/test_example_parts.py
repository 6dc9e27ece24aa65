"""The example package: found by its entry points, listed, checked, and an assistant that is made of it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from holdfast.assistant.parts import GROUP, KINDS

PACKAGE = Path(__file__).parents[2] / "examples" / "holdfast_example_parts"
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
POINTS: dict[str, str] = PROJECT["entry-points"][GROUP]


class Installed:
    """The package as an installation would leave it: its modules and its metadata on the path of a process."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        info = self.site / f"holdfast_example_parts-{PROJECT['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
        )
        self.points = info / "entry_points.txt"
        self.points.write_text("".join([f"[{GROUP}]\n", *(f"{name} = {path}\n" for name, path in POINTS.items())]))
        self.folder = folder

    def run(self, *args: str, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
        path = os.pathsep.join([str(PACKAGE / "src"), str(self.site)])
        return subprocess.run(
            [sys.executable, "-m", "holdfast", *args],
            input=said,
            capture_output=True,
            text=True,
            timeout=100,
            cwd=self.folder,
            env={**kept, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **environment},
        )


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


@pytest.fixture
def shop() -> Iterator[tuple[str, list[Any]]]:
    """An API with one order; its URL, and the requests that it got."""
    requests: list[Any] = []

    class Orders(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.command, self.path, self.headers["Idempotency-Key"]))
            self.send_response(200 if self.path == "/orders/HF12345" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "on its way"}).encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CONFIG = str(PACKAGE / "holdfast.toml")


def test_there_is_a_part_of_each_kind() -> None:
    assert sorted(name.partition(".")[0] for name in POINTS) == sorted(KINDS)
    readme = (PACKAGE / "README.md").read_text()
    assert all(f"`{name.partition('.')[2]}`" in readme for name in POINTS)


def test_parts_ls_shows_them_with_package_sentence_and_use(installed: Installed) -> None:
    ran = installed.run("parts", "ls", "--json", "--config", CONFIG)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    ours = [one for one in document["parts"] if one["from"] == "holdfast-example-parts 0.1.0"]
    assert {f"{one['kind']}.{one['name']}": one["where"] for one in ours} == POINTS
    assert all(one["used"] and one["sentence"].endswith(".") and "error" not in one for one in ours)
    used = {(one["kind"], one["name"]) for one in document["parts"] if one["used"]}
    assert ("policy", "flows") in used and ("policy", "agent") not in used
    shown = installed.run("parts", "ls", "--config", CONFIG, "--kind", "policy").stdout
    assert [line for line in shown.splitlines() if "example_office_hours" in line and "*1" in line]
    assert "Tells users who ask for a person" in shown and "example_echo" not in shown


def test_entry_points_that_are_broken_are_lines_with_their_error(installed: Installed) -> None:
    (installed.site / "raising_part.py").write_text("raise RuntimeError('not today')\n")
    installed.points.write_text(
        f"[{GROUP}]\nmodel.gone = no_such_module:Model\npolicy.raising = raising_part:Policy\npolicy.flows = raising_part:P\n"
        "memory.no_name = os:no_such_function\npolcy.mistyped = os:getcwd\nhello = os:getcwd\n"
    )
    ran = installed.run("parts", "ls", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    errors = {f"{one['kind']}.{one['name']}": one["error"] for one in document["parts"] if "error" in one}
    assert "cannot be imported: No module named 'no_such_module' (install it, or put" in errors["model.gone"]
    assert "cannot be imported: RuntimeError: not today" in errors["policy.raising"]
    assert "Holdfast has a part of this name" in errors["policy.flows"]
    assert "module os has no function or class 'no_such_function'" in errors["memory.no_name"]
    assert sorted(one["name"] for one in document["misnamed"]) == ["hello", "polcy.mistyped"]
    assert [one["from"] for one in document["parts"] if one["name"] == "flows" and one["used"]] == ["holdfast"]
    shown = installed.run("parts", "ls")
    assert shown.returncode == 0
    assert (
        "cannot be used: " in shown.stdout
        and "polcy.mistyped of holdfast-example-parts 0.1.0 is no part" in shown.stdout
    )


def test_a_name_of_two_packages_has_to_be_chosen_by_its_path(installed: Installed) -> None:
    other = installed.site / "other-2.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text(f"[{GROUP}]\nmodel.example_echo = holdfast_example_parts.model:Echo\n")
    ran = installed.run("check", "--config", CONFIG)
    assert ran.returncode == 1
    assert (
        'assistant.model = "example_echo" is a part of several packages: choose holdfast_example_parts.model:Echo'
        in ran.stdout
    )


def test_the_example_is_checked_and_its_settings_too(installed: Installed) -> None:
    ran = installed.run("check", "--strict", "--config", CONFIG)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "knowledge: example_shelf" in ran.stdout
    wrong = installed.run(
        "check", "--config", CONFIG,
        EXAMPLE_PARTS_HOURS="late", EXAMPLE_PARTS_SHELF="none.json", EXAMPLE_PARTS_API="ftp://x",
    )  # fmt: skip
    assert wrong.returncode == 1
    lines = wrong.stdout.replace(f"{PACKAGE}/", "").splitlines()
    assert lines == [
        "holdfast.toml:12: EXAMPLE_PARTS_SHELF=none.json cannot be read: [Errno 2] No such file or directory: 'none.json'",
        "holdfast.toml:13: EXAMPLE_PARTS_API has to be a URL like https://shop.example/api",
        "holdfast.toml:16: EXAMPLE_PARTS_HOURS=late has to be like 9-18",
        "3 errors",
    ]


def test_an_assistant_made_of_them_holds_a_conversation(installed: Installed, shop: tuple[str, list[Any]]) -> None:
    url, requests = shop
    said = "Can I return goods?\norder status please\nHF12345\norder status\nHF99999\nI want to talk to a person\n退货要几天\n"
    ran = installed.run("chat", "--config", CONFIG, said=said, EXAMPLE_PARTS_API=url, EXAMPLE_PARTS_HOURS="24-24")
    assert ran.returncode == 0, ran.stderr
    for words in (
        "- Goods can be returned within 7 days. [1]",
        "What is the order number?",
        "Order HF12345 is on its way.",
        "Order HF99999 is unknown.",
        "Nobody is here just now: we are in from 24 to 24 o'clock.",
        "- 商品签收后 7 天内可以退货。 [1]",
    ):
        assert words in ran.stdout
    assert [request[:2] for request in requests] == [("GET", "/orders/HF12345"), ("GET", "/orders/HF99999")]
    assert len({key for _, _, key in requests}) == 2 and all(len(key) == 32 for _, _, key in requests)


def test_an_api_that_is_not_there_is_said_to_be_so(installed: Installed) -> None:
    ran = installed.run(
        "chat", "--config", CONFIG, said="order status\nHF12345\n", EXAMPLE_PARTS_API="http://127.0.0.1:9"
    )
    assert "Order HF12345 cannot be looked up just now." in ran.stdout, ran.stderr
