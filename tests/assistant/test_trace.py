"""What is noted of a turn: masked before it is kept, and bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from holdfast.assistant.masking import Masker
from holdfast.assistant.trace import MOST_ENTRIES, Trace
from holdfast.config.trace import TraceSection
from holdfast.turns.turn import Turn

PHONE = "13812345678"


def trace_of(text: str = "", **settings: Any) -> tuple[Trace, Any]:
    turn = SimpleNamespace(state={"phone": PHONE}, text=text, trace=None)
    return Trace(TraceSection(**settings), Masker({"phone": "phone"}), cast(Turn, turn)), turn


def test_masked_wherever_it_is() -> None:
    trace, turn = trace_of("call 139 8765 4321")
    assert turn.trace is trace
    trace.note("tool", arguments={"phone": "15011112222", "note": f"was {PHONE}"}, result=[{"who": "13987654321"}])
    trace.note("prompt", prompts=[{"role": "user", "content": "x" * 3_990 + PHONE + "y" * 500}])
    document = trace.document(f"ValueError: {PHONE}")
    encoded = msgspec.json.encode(document).decode()
    for secret in (PHONE, "15011112222", "13987654321", PHONE[:8]):
        assert secret not in encoded
    assert document["error"] == "ValueError: 138****5678"
    assert document["entries"][0]["data"]["arguments"] == {"phone": "150****2222", "note": "was 138****5678"}


@pytest.mark.parametrize("most", [1024, 8 * 1024, 64 * 1024])
def test_bounded(most: int) -> None:
    trace, _ = trace_of(max_bytes=most)
    for number in range(MOST_ENTRIES + 7):
        trace.note("prompt", number=number, prompts=[{"content": "w" * 50_000, "more": list(range(5_000))}])
    document = trace.document("")
    assert len(msgspec.msgpack.encode(document["entries"])) <= most + 8
    assert len(document["entries"]) + document["left_out"] == MOST_ENTRIES + 7
    assert document["entries"]
    assert "(+" in document["entries"][0]["data"]["prompts"][0]["content"]


def test_anything_can_be_noted() -> None:
    trace, _ = trace_of()
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    trace.note("own", odd=object(), deep=deep, places={1: {2, 3}}, nothing=None, struct=TraceSection)
    (entry,) = trace.document("")["entries"]
    assert entry["data"]["odd"].startswith("<object")
    assert entry["data"]["nothing"] is None
    msgspec.json.encode(entry)


def test_not_kept_where_nobody_wants_it() -> None:
    trace, turn = trace_of(enabled=False)
    trace.note("decision", policy="flows")
    assert turn.trace is None
