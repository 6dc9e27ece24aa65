"""Every benchmark runs, and what is counted (not timed) holds. Times are never judged here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from holdfast.testing.servers import RedisServer
from store_nodes import needs_redis_server

# pytest's own path begins with tests/, where `bench` is this folder
sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.__main__ import TOPICS, show
from bench.counters import Raw, ServerCounters
from bench.dialogue import DataMissing, conversations
from bench.figures import Figure, at_most
from bench.report import write_json
from bench.setting import Setting

_measured: dict[str, list[Figure]] = {}


async def measured(name: str, folder: Path) -> list[Figure]:
    """One run of a topic, for all tests that look at it."""
    needs_redis_server()
    peers = ("json",)  # the one that needs no environment of its own
    if name not in _measured:
        setting = Setting(quick=True, folder=folder, say=lambda text: None, peers=peers)
        try:
            _measured[name] = await TOPICS[name].measure(setting)
        except DataMissing as missing:
            pytest.skip(str(missing))
    return _measured[name]


@pytest.mark.parametrize("name", sorted(TOPICS))
async def test_every_benchmark_gives_its_figures(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = await measured(name, tmp_path)
    assert figures
    assert all(
        (figure.value > 0 or figure.unit == "in 1 000") and figure.topic == name for figure in figures
    )  # no false alarm is 0
    for as_markdown in (False, True):
        show(figures, as_markdown=as_markdown)
        assert TOPICS[name].title in capsys.readouterr().out
    write_json(figures, tmp_path / "figures.json")
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert [row["name"] for row in rows] == [figure.name for figure in figures]
    assert {row["verdict"] for row in rows} <= {"ok", "short", ""}


async def test_a_turn_takes_two_round_trips_and_an_update_one(tmp_path: Path) -> None:
    figures = {figure.name: figure for figure in await measured("wire", tmp_path)}
    assert figures["round trips of a turn, session cached"].value == 2
    assert figures["round trips of a turn, cold"].value == 2
    assert figures["round trips of an update, session cached"].value == 1
    assert figures["round trips of an update, cold"].value == 1


async def test_a_turn_sends_few_bytes_beside_its_own(tmp_path: Path) -> None:
    sent = {figure.name: figure.value for figure in await measured("wire", tmp_path) if figure.target == at_most(400)}
    assert len(sent) == 2  # session cached, and cold
    assert max(sent.values()) <= 400


async def test_bytes_on_the_wire_do_not_grow_with_the_history(tmp_path: Path) -> None:
    figures = [figure for figure in await measured("history", tmp_path) if "bytes on the wire" in figure.name]
    assert {figure.name for figure in figures} == {"redis, cold: bytes on the wire", "redis, cached: bytes on the wire"}
    assert all(figure.verdict == "ok" for figure in figures)


async def test_packing_makes_messages_smaller(tmp_path: Path) -> None:
    figures = {figure.name: figure.value for figure in await measured("memory", tmp_path)}
    for kind in ("English passages", "Chinese passages", "English short"):
        sizes = [figures[f"{kind}, {how}: messages / their JSON"] for how in ("unpacked", "pages of 16", "pages of 32")]
        assert sizes == sorted(sizes, reverse=True)


def test_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="HOLDFAST_DATA"):
        next(conversations(tmp_path, "English short", 10))


async def test_http_turns_stand_beside_the_echo_at_every_number_of_callers(tmp_path: Path) -> None:
    names = [figure.name for figure in await measured("http", tmp_path)]
    for what in ("bare FastAPI echo", "HTTP turn, sqlite", "HTTP turn, redis"):
        for callers in ("1 caller", "16 callers", "64 callers"):
            assert f"{what}, {callers}: requests a second" in names
            assert f"{what}, {callers}: p99" in names
    for backend in ("sqlite", "redis"):
        assert f"{backend}: store and session part of a turn / one bare echo" in names


async def test_counters_leave_out_what_reading_them_costs() -> None:
    needs_redis_server()
    async with RedisServer() as server:
        with ServerCounters(server.port) as counters, Raw(server.port) as raw:
            counters.read()
            before = counters.read()
            raw.call("ECHO", "x" * 1000)
            after = counters.read()
            assert after.received - before.received == raw.sent
            assert after.sent - before.sent == raw.received
