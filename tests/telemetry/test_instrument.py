"""Having a store measured: the docs' example, one registry a store, and what is said where it cannot be."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from scraping import Scrape, answer

from holdfast import Store, open_store
from holdfast.config import Config
from holdfast.errors import ConfigError
from holdfast.server.app import create_app, node_of
from holdfast.telemetry import instrument, server_figures
from holdfast.telemetry.recording import telemetry_of

DOCS = (Path(__file__).parent.parent.parent / "docs" / "metrics.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_the_docs_example_runs(example: str) -> None:
    code = compile(example, "metrics.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, {"__name__": "metrics"})
    assert inspect.isawaitable(result)
    await result


async def test_a_store_is_measured_once_however_often_it_is_asked_for(store: Store) -> None:
    registry = instrument(store)
    assert instrument(store) is instrument(store, registry) is registry
    await store.run_turn("s", answer, input="x")
    assert Scrape(registry).calls("commit") == {"committed": 1}
    with pytest.raises(ConfigError, match="another registry"):
        instrument(store, CollectorRegistry())


async def test_a_registry_of_ones_own_takes_one_store() -> None:
    registry = CollectorRegistry()
    Gauge("mine", "Ours.", registry=registry).set(3)
    async with open_store("memory:") as store, open_store("memory:") as other:
        assert instrument(store, registry) is registry
        assert "mine 3.0" in Scrape(registry).text
        with pytest.raises(ConfigError, match="another store"):
            instrument(other, registry)
        assert telemetry_of(other) is None
        with pytest.raises(ConfigError, match="not measured"):
            async with server_figures(other):
                pass


async def test_a_store_without_a_server_has_no_figures_of_one() -> None:
    async with open_store("memory:") as store:
        instrument(store)
        async with server_figures(store, every=0.01):
            assert Scrape(store)("store_up") is None


async def test_the_servers_metrics_join_the_registry_of_a_measured_store() -> None:
    class Assistant:
        masker = knowledge = model = None

        async def __call__(self, turn: Any) -> None:
            turn.reply("x")

    async with open_store("memory:") as store:
        registry = instrument(store)
        app = create_app(store, Assistant(), Config(store="memory:"))  # type: ignore[arg-type]  # masks nothing
        assert node_of(app).metrics.registry is registry
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://holdfast.test") as http:
            assert (await http.get("/metrics")).text.count("# TYPE holdfast_turns_total counter") == 1


def test_other_stores_are_told_apart() -> None:
    with pytest.raises(ConfigError, match="what open_store"):
        instrument({})  # type: ignore[arg-type]  # the mistake


def test_a_missing_package_names_its_extra() -> None:
    script = """
import asyncio, sys
sys.modules["prometheus_client"] = None
from holdfast import open_store
from holdfast.errors import MissingExtra
from holdfast.telemetry import instrument

async def main():
    async with open_store("memory:") as store:
        try:
            instrument(store)
        except MissingExtra as error:
            print(error)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "holdfast[metrics]" in done.stdout


def test_nothing_is_imported_before_it_is_needed() -> None:
    script = "import sys, holdfast, holdfast.telemetry; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
