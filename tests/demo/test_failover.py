"""The failover demo holds: real nodes, a real redis-server, kill -9. Its exit code is 0 only if nothing was lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from holdfast.demo.failover import SAID

pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-server") is None and "CI" not in os.environ, reason="redis-server is not installed"
    ),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize("every", [False, True], ids=["some", "every"])
def test_a_conversation_survives_its_nodes(every: bool) -> None:
    command = [sys.executable, "-m", "holdfast", "demo", "failover", "--json", *(["--every"] if every else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    killed = [line for line in report["lines"] if line["killed"]]
    assert len(killed) == (len(SAID) if every else 2)
    assert all(line["answered"]["attempts"] == 2 and line["answered"]["node"] != line["killed"] for line in killed)
    assert report["messages"] == 2 * len(SAID)
    assert report["faults"] == []


def test_the_library_example_survives_too() -> None:
    done = subprocess.run([sys.executable, "examples/survive.py"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
