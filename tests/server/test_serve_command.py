"""``holdfast serve`` without a config: the sample, with its data in a folder of the user's."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest

from holdfast.cli.serve import data_folder, sample_overrides


def test_the_samples_files_are_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "holdfast"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert data_folder().parts[-3:] == (".local", "share", "holdfast")


def test_what_was_said_is_not_overridden() -> None:
    folder = Path("/data")
    assert sample_overrides({}, folder, {}) == {
        "store": {"url": "sqlite:////data/sessions.db"},
        "knowledge": {"index": "/data/knowledge.db"},
    }
    said = {"HOLDFAST_STORE": "memory:", "HOLDFAST_KNOWLEDGE__INDEX": "mine.db"}
    assert sample_overrides({}, folder, said) == {}
    assert sample_overrides({"store": "memory:"}, folder, {})["store"] == "memory:"


async def test_the_sample_is_served_at_a_printed_url(tmp_path: Path) -> None:
    """A fresh machine: the index is made first. The second start finds everything there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
    session_id = ""
    for round_ in ("first", "second"):
        started = time.monotonic()
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast", "serve", "--port", "0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, "XDG_DATA_HOME": str(tmp_path)},
            cwd=tmp_path,
        )
        assert server.stdout is not None
        url, shown = "", ""
        while not url:
            line = (await asyncio.wait_for(server.stdout.readline(), 50)).decode()
            assert line or server.returncode is None
            shown += line
            url = (re.findall(r"Open (http://\S+)", line) or [""])[0]
        assert str(tmp_path / "holdfast") in shown
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            assert (await http.get("/readyz")).status_code == 200
            assert time.monotonic() - started < 50
            if round_ == "first":
                session_id = (await http.post("/v1/sessions")).json()["id"]
            path = f"/v1/sessions/{session_id}/turns"
            reply = (await http.post(path, json={"input": "How long do I have to return something?"})).json()
            assert reply["metadata"]["mode"] == "extractive"
            for citation in reply["citations"]:
                passage = (await http.get(citation["passage_url"])).json()
                start, end = (citation[name] - passage["start"] for name in ("start", "end"))
                assert passage["text"][start:end] == citation["quote"]
            assert reply["start"] == (0 if round_ == "first" else 2)
        server.send_signal(signal.SIGTERM)
        await asyncio.wait_for(server.communicate(), 10)
        assert server.returncode == 0
    assert os.listdir(tmp_path) == ["holdfast"]  # noqa: PTH208  (nothing was written elsewhere)
