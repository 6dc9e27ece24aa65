"""Dashboard, alerts and docs name metrics that a real server shows, and the docs name all of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import Metric
from scraping import Scrape, answer

from holdfast import open_store
from holdfast.config import Config
from holdfast.server.app import node_of
from holdfast.server.building import opened_app
from holdfast.testing.servers import RedisServer
from store_nodes import eventually, needs_redis_server

ROOT: Final = Path(__file__).parent.parent.parent
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "holdfast.json"
ALERTS: Final = ROOT / "deploy" / "prometheus" / "alerts.yml"
DOCS: Final = ROOT / "docs" / "metrics.md"
_SUFFIXES: Final = re.compile(r"_(bucket|count|sum)$")


def expressions() -> Iterator[str]:
    """Every PromQL expression of the dashboard and the alerts."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (var["query"]["query"] for var in dashboard["templating"]["list"] if var["type"] == "query")
    # YAML as this file writes it: one line after `expr:`, or the indented lines after `expr: |`
    for block, line in re.findall(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.+)\n)", ALERTS.read_text(), re.MULTILINE):
        yield line or block


def names(expression: str) -> set[str]:
    return {_SUFFIXES.sub("", name) for name in re.findall(r"\bholdfast_\w+", expression)}


@pytest.fixture(scope="module")
def scrape() -> Scrape:
    """One of `/metrics` as a node serves it, on a Redis with a replica."""
    needs_redis_server()
    return asyncio.run(_scraped())


async def _scraped() -> Scrape:
    with RedisServer() as server, RedisServer({"replicaof": f"127.0.0.1 {server.port}"}):
        await eventually(lambda: "state=online" in server.info("replication").get("slave0", ""), 30)
        config: Any = {"store": server.url, "knowledge": {"index": ""}, "server": {"server_figures_every": 0.05}}
        async with open_store(server.url) as store, opened_app(Config(**config), store) as app:
            await store.run_turn("s", answer, input="x")
            metrics = node_of(app).metrics
            metrics.request("GET", "/livez", 200, 0.001)
            await eventually(lambda: Scrape(metrics.text().decode())("redis_replica_online") == 1, 30)
            return Scrape(metrics.text().decode())


def shown(families: list[Metric]) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels by name, as PromQL has it (a counter's with its suffix)."""
    found = {}
    for family in families:
        if family.name.startswith("holdfast_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = frozenset().union(*(sample.labels for sample in family.samples)) - {"le"}
            found[name] = (family.type, frozenset(labels))
    return found


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(holdfast_\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", DOCS.read_text(), re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows})
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_there_are_expressions_of_every_kind() -> None:
    found = list(expressions())
    assert len(found) > 80
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert sum(expression.count("holdfast_") > 0 for expression in found) == len(found)
    assert len(alerts) == len(set(alerts)) >= 15
    assert len(re.findall(r"^ +expr:", ALERTS.read_text(), re.MULTILINE)) == len(alerts)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_what_is_asked_for_is_there(expression: str, scrape: Scrape) -> None:
    assert names(expression) - shown(scrape.families).keys() == set()


async def test_the_docs_name_every_metric_with_its_type_and_labels(scrape: Scrape, tmp_path: Path) -> None:
    found = shown(scrape.families)
    for url in ("memory:", f"sqlite:///{tmp_path / 'x.db'}"):
        async with open_store(url) as store:
            Scrape(store)
            await store.run_turn("s", answer, input="x")
            found |= {name: one for name, one in shown(Scrape(store).families).items() if name not in found}
    assert documented() == found


def test_panels_have_places_and_sources_of_their_own() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Turns", "Store calls", "Cache and codec", "Redis client", "Redis server", "HTTP"]
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
    assert {var["name"] for var in dashboard["templating"]["list"]} == {"datasource", "node", "backend"}
