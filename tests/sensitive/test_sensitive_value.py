"""`Sensitive`: shown masked, stored whole."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path

import pytest

from holdfast import Sensitive, open_store
from holdfast.assistant.masking import Masker
from holdfast.cli.export_format import tagged, untagged
from holdfast.errors import ConfigError, CorruptRecord
from holdfast.sensitive import Found, Kind, find, kind_of, mask, masked, register
from holdfast.sensitive.log_filter import MaskingFilter
from holdfast.sessions.codec import Codec

CANARY = "13912345678"
SECRET = Sensitive(CANARY, "phone")


def test_whatever_prints_it_prints_the_mask() -> None:
    shown = [str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET:>20}", "%s" % SECRET, str([SECRET]), f"{SECRET!r}"]  # noqa: UP031
    assert all("139****5678" in one and CANARY not in one for one in shown)
    assert SECRET.reveal() == CANARY
    assert str(Sensitive("Jane Doe")) == "***"
    assert str(Sensitive("x", "no such kind")) == "***"


def test_it_is_a_value() -> None:
    assert Sensitive(CANARY, "phone") == SECRET != Sensitive(CANARY)
    assert SECRET != CANARY
    assert len({SECRET, Sensitive(CANARY, "phone"), Sensitive(CANARY)}) == 2
    assert copy.deepcopy(SECRET) == copy.copy(SECRET) == pickle.loads(pickle.dumps(SECRET)) == SECRET
    with pytest.raises(AttributeError):
        SECRET.kind = "text"  # type: ignore[misc]  # what is tried
    with pytest.raises(TypeError):
        Sensitive(139)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/s.db"])
async def test_a_state_keeps_it(url: str, tmp_path: Path) -> None:
    async with open_store(url.format(tmp_path)) as store:
        value = {"deep": [SECRET], "set": {SECRET}}
        await store.update("s", {"phone": SECRET, "order": value})
        found = await store.get("s")
        assert found == {"phone": SECRET, "order": value}
        assert type(found["phone"]) is Sensitive
        async with store.turn("s", input="hi") as turn:
            assert turn.state["phone"].reveal() == CANARY
            turn.state["phone"] = Sensitive(CANARY, "phone")  # the same: no change
        assert (await store.get("s"))["phone"] == SECRET


def test_damaged_ones_are_damage() -> None:
    codec = Codec()
    whole = codec.encode(SECRET)
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            try:
                codec.decode(damaged)
            except CorruptRecord:
                continue
            except Exception as error:  # noqa: BLE001  # of the frame: a format of the future
                assert type(error).__name__ == "FutureFormat"
    assert codec.decode(whole) == SECRET


def test_an_export_has_it_whole() -> None:
    assert untagged(json.loads(json.dumps(tagged({"a": [SECRET]})))) == {"a": [SECRET]}


def test_a_masker_knows_it_wherever_it_stands() -> None:
    masker = Masker({})
    state = {"contact": {"list": [SECRET]}, "note": f"call {CANARY} now"}
    assert masker.state(state) == {"contact": {"list": ["139****5678"]}, "note": "call 139****5678 now"}
    assert masker.text("139 1234 5678?", state) == "139****5678?"
    assert masker.arguments("t", (), {"to": SECRET}, state) == {"to": "139****5678"}
    assert masker.arguments("t", ("phone",), {"to": SECRET, "and": CANARY}, state) == {"to": CANARY, "and": CANARY}


def test_ones_own_kinds() -> None:
    def find_numbers(text: str) -> list[Found]:
        place = text.find("KD-")
        return [Found(place, place + 7, text[place : place + 7])] if place >= 0 else []

    kind = Kind("customer_no", lambda value: f"{value[:3]}****", find_numbers)
    assert register(kind) is kind_of("customer_no") is kind
    assert find("of KD-1234.", ["customer_no"]) == [(3, 10, "customer_no", "KD-1234")]
    assert mask("of KD-1234.", ["customer_no"]) == "of KD-****."
    assert masked("customer_no", "KD-1234") == "KD-****"
    with pytest.raises(ConfigError, match="named 'phone' already"):
        register(Kind("phone"))
    with pytest.raises(ConfigError, match="there is no kind"):
        kind_of("fone")
    with pytest.raises(ConfigError, match="cannot be imported"):
        kind_of("nowhere:KIND")
    with pytest.raises(ConfigError, match=r"is no holdfast\.sensitive\.Kind"):
        kind_of("holdfast.sensitive:find")


def test_logs_of_holdfast_are_masked_and_others_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(it := MaskingFilter(["phone"]))
    try:
        with caplog.at_level(logging.INFO):
            logging.getLogger("holdfast.some.part").info("number %s of %d", CANARY, 7)
            try:
                raise RuntimeError(f"no customer {CANARY}")
            except RuntimeError:
                logging.getLogger("holdfast").exception("failed")
            logging.getLogger("elsewhere").info("number %s", CANARY)
    finally:
        caplog.handler.removeFilter(it)
    ours = [record for record in caplog.records if record.name.startswith("holdfast")]
    assert [record.getMessage() for record in ours] == ["number 139****5678 of 7", "failed"]
    assert "no customer 139****5678" in (ours[1].exc_text or "") and CANARY not in (ours[1].exc_text or "")
    assert caplog.records[-1].getMessage() == f"number {CANARY}"
