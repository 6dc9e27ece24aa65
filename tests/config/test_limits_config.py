"""``[limits]``: how rates are written, what holds for whom, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.backends.rates import Rate
from holdfast.cli.app import app
from holdfast.config import Config, LimitsSection
from holdfast.config.limit_findings import limit_findings


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("60/minute", (Rate(60, 60),)),
        ("5 per 10 seconds", (Rate(5, 10),)),
        (["1000/hour", "60/minute"], (Rate(60, 60), Rate(1000, 3600))),
        ("60/minute; 1000 per hour", (Rate(60, 60), Rate(1000, 3600))),
        ([], ()),
        ("10/2 day", (Rate(10, 172_800),)),
    ],
)
def test_rates_as_people_write_them(text: Any, rates: tuple[Rate, ...]) -> None:
    assert LimitsSection(user={"turns": text}).user.turns == rates  # type: ignore[arg-type]  # as a file has it


@pytest.mark.parametrize(
    "text", ["60", "60/fortnight", "0/minute", "-3/minute", "5/minute; 6/minute", 60, "10/2 years", ""]
)
def test_what_is_no_rate(text: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|kept to"):
        LimitsSection(user={"turns": text})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"trusted_proxies": ["10.0.0.1/8"]}, {"tenants": {"x" * 257: {}}}, {"user": {"bytes": -1}}, {"usr": {}}]
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"network|characters|limit|extra|greater|Extra|permitted|byte"):
        LimitsSection(**wrong)


def test_a_tenant_differs_only_in_what_is_written_for_it() -> None:
    limits = LimitsSection(
        tenant={"turns": "9/minute", "sessions": 100, "weight": 2},  # type: ignore[arg-type]
        user={"sessions": 5, "bytes": "10MB"},  # type: ignore[arg-type]
        tenants={"acme": {"sessions": 1000, "user": {"sessions": 50}}},  # type: ignore[dict-item]
    )
    acme, users = limits.of_tenant("acme"), limits.of_users("acme")
    assert (acme.turns, acme.sessions, acme.weight) == ((Rate(9, 60),), 1000, 2)
    assert (users.sessions, users.bytes) == (50, 10_000_000)
    assert (limits.of_tenant("other").sessions, limits.of_users("other").sessions) == (100, 5)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"user": {"sessions": 10}, "tenant": {"sessions": 5}}, "limits.user.sessions: one user may have more"),
        (
            {"user": {"turns": "60/minute"}, "tenant": {"turns": "30/minute"}},
            "limits.user.turns: one user may ask for more",
        ),
        ({"user": {"turns": "60/minute", "requests": "30/minute"}}, "a turn is a request too"),
        ({"user": {"requests": ["60/minute", "5000/hour"]}}, "5000 per 3600 s is never reached beside 60 per 60 s"),
        ({"address": {"failures": ["60/minute", "30/hour"]}}, "60 per 60 s is never reached beside 30 per 3600 s"),
        ({"enabled": False, "user": {"turns": "60/minute"}}, "leaves out all rates"),
        ({"admission_wait": "200s"}, "not shorter than server.turn_timeout"),
        ({"tenant": {"tokens": 1000}}, "no model is configured"),
        (
            {"tenants": {"acme": {"sessions": 1, "user": {"sessions": 2}}}},
            "limits.tenants.acme.user.sessions: one user may have",
        ),
    ],
)
def test_what_contradicts_itself(limits: dict[str, Any], says: str) -> None:
    found = [message for _, message in limit_findings(Config(store="redis://h", limits=limits))]  # type: ignore[arg-type]
    assert len(found) == 1
    assert says in found[0]


def test_the_defaults_do_not() -> None:
    assert list(limit_findings(Config())) == []
    assert list(limit_findings(Config(store="redis://h", limits={"enabled": True}))) == []  # type: ignore[arg-type]


def test_check_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.toml"
    file.write_text(
        '[store]\nurl = "sqlite:///x.db"\n[knowledge]\nindex = ""\n[limits.tenant]\nsessions = 5\n[limits.user]\nsessions = 10\n'
    )
    result = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert f"{file}:8: warning: limits.user.sessions" in result.output
    assert "counts rates by itself" in result.output
