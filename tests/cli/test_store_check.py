"""``holdfast store check``: of a URL, and of a class of a user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import cli

from store_nodes import url_of


@pytest.fixture
def url(backend_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(backend_name, request, tmp_path)


def test_it_tells_findings_latency_and_a_trial(url: str) -> None:
    ran = cli("store", "check", url)
    assert ran.code == 0, ran.out
    assert "a trial session was written, answered, read and deleted" in ran.out
    assert "Round trip:" in ran.out
    as_json = cli("store", "check", url, "--json").document
    assert as_json["ok"] is True
    assert 0 < as_json["latency_ms"]["p50"] <= as_json["latency_ms"]["worst"]
    assert {"level", "subject", "text", "mend"} == set(as_json["findings"][0])
    if url != "memory:":
        assert cli("sessions", "ls", "--store", url, "--limit", 0, "--json").out.count("holdfast-check") == 0


def test_what_is_wrong_is_told_with_its_mending(tmp_path: Path) -> None:
    nobody = cli("store", "check", "redis://:s3cret@127.0.0.1:1/0", "--json")
    assert (nobody.code, nobody.out) == (2, "")
    assert "s3cret" not in nobody.err
    assert json.loads(nobody.err)["message"]
    assert cli("store", "check", "mysql://host").code == 2
    (tmp_path / "file.db").write_text("this is no database, but text of some length" * 100)
    assert cli("store", "check", f"sqlite:///{tmp_path / 'file.db'}").code == 2


OWN = """
import copy, time
from holdfast.sync import SessionStore
print("imported")

class Good(SessionStore):
    def __init__(self):
        self.kept = {}
    def get(self, session_id):
        data, ends = self.kept.get(session_id, ({}, None))
        return {} if ends and time.time() > ends else copy.deepcopy(data)
    def set(self, session_id, data, ttl=None):
        self.kept[session_id] = copy.deepcopy(data), ttl and time.time() + ttl
    def delete(self, session_id):
        self.kept.pop(session_id, None)

class Careless(Good):
    def get(self, session_id):
        return self.kept.get(session_id, (None, None))[0]
    def set(self, session_id, data, ttl=None):
        self.kept[session_id] = data, None

class Raises(Good):
    def get(self, session_id):
        raise KeyError(session_id)

class Duck:
    get, set, delete, __init__ = Good.get, Good.set, Good.delete, Good.__init__

class Needs(Good):
    def __init__(self, url):
        pass

class Async(Good):
    async def get(self, session_id):
        return {}

def make():
    return Needs("x") if False else Good()

store = Good()
not_a_store = 5
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_stores_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("what", ["Good", "store", "make", "Duck"])
def test_an_own_class_is_tried_and_its_weaker_promises_are_named(own: str, what: str) -> None:
    ran = cli("store", "check", f"{own}:{what}", "--json")
    assert ran.code == 0, ran.out
    report = ran.document  # what the module prints is not on stdout
    levels = {finding["subject"]: finding["level"] for finding in report["findings"]}
    assert levels["lost updates"] == levels["turns"] == "note"
    assert levels["copies"] == levels["ttl"] == levels["missing"] == "ok"
    assert ("type" in levels) == (what == "Duck")


def test_what_an_own_class_gets_wrong_is_bad(own: str) -> None:
    ran = cli("store", "check", f"{own}:Careless", "--json")
    bad = {finding["subject"] for finding in ran.document["findings"] if finding["level"] == "bad"}
    assert (ran.code, {"missing", "copies", "ttl"} <= bad) == (1, True)
    raises = cli("store", "check", f"{own}:Raises")
    assert raises.code == 1
    assert "KeyError" in raises.out


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("Nothing", "has no 'Nothing'"),
        ("Needs", "without arguments"),
        ("not_a_store", "no method get"),
        ("Async", "async"),
    ],
)
def test_what_cannot_be_checked_says_why(own: str, what: str, says: str) -> None:
    ran = cli("store", "check", f"{own}:{what}")
    assert (ran.code, says in ran.err) == (2, True), ran.err
    assert cli("store", "check", "no.such.module:Class").code == 2
