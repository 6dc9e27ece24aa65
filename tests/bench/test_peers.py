"""The comparison with the peers: what it needs of them, and what it says where one cannot be had."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import pytest

from holdfast.testing.servers import RedisServer
from store_nodes import needs_redis_server

# pytest's own path begins with tests/, where `bench` is this folder
sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.counters import Raw
from bench.delayed_link import DelayedLink
from bench.peers import comparison
from bench.peers.environments import requirements
from bench.peers.process import PeerFailed, PeerProcess
from bench.report import markdown
from bench.setting import Setting


def quick(folder: Path, *peers: str) -> Setting:
    return Setting(quick=True, folder=folder, say=lambda text: None, peers=peers)


def script(name: str) -> Path:
    return Path(comparison.__file__).parent / f"{comparison.PEERS[name].script}.py"


@pytest.mark.parametrize("name", [name for name in comparison.PEERS if name != "json"])
def test_every_peer_pins_all_that_it_asks_for(name: str) -> None:
    found = requirements(script(name))
    assert found
    assert all("==" in requirement for requirement in found)


async def test_a_peer_without_an_environment_is_in_the_table_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_redis_server()
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOLDFAST_BENCH_CACHE", str(tmp_path / "file" / "cache"))
    figures = await comparison.measure(quick(tmp_path, "openai", "json"))
    lines = {figure.name: figure for figure in figures if figure.name.endswith("RedisSession, limit 20")}
    assert len(lines) == 4
    assert all(math.isnan(figure.value) and "not measured: Not a directory" in figure.note for figure in lines.values())
    assert "without OpenAI Agents RedisSession, limit 20: Not a directory" in capsys.readouterr().err
    assert "| - |" in markdown(figures, {"peers": ""})
    assert any("times cheaper than the best peer" in figure.name for figure in figures)  # the others were measured


async def test_an_unknown_peer_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such peer: x; there are json, openai"):
        await comparison.measure(quick(tmp_path, "x"))


async def test_a_peer_that_raises_or_ends_says_why() -> None:
    closed = PeerProcess(Path(sys.executable), script("json"), (), "redis://127.0.0.1:1/0")
    async with closed as process:
        with pytest.raises(PeerFailed, match="ConnectionError"):
            await process.prepare(1, 2)
    with pytest.raises(PeerFailed, match=r"it ended: .*No module named"):
        async with PeerProcess(Path(sys.executable), Path("nobody.py"), (), ""):
            pass


async def test_a_delayed_link_passes_everything_on_and_not_early() -> None:
    needs_redis_server()
    async with RedisServer() as server, DelayedLink(server.port, 0.05) as link:
        with Raw(link.port) as raw:
            started = time.perf_counter()
            assert raw.call("ECHO", b"x" * 1_000_000) == b"x" * 1_000_000
            assert time.perf_counter() - started >= 0.05
