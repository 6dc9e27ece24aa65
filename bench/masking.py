"""Sensitive values: how much is found on generated sentences with known spans, what is found in real text, and how fast."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bench.dialogue import DataMissing
from bench.figures import Figure, at_least, figure
from bench.setting import Setting
from holdfast.sensitive import StreamMasker, find, mask

_TOPIC: Final = "masking"
_SENTENCES: Final = (100_000, 2_000)
_NUMBERS: Final = ("phone", "email", "id_card", "bank_card")
_LANGUAGES: Final = {"zh": "Chinese", "en": "English"}
_PLAIN: Final = {
    "zh": "您好，您的订单已经发货，预计明天下午送达，请注意查收。如果有任何问题，可以随时联系我们的客服人员，祝您生活愉快。",
    "en": "Thank you for your message. Your order has left our warehouse and should arrive tomorrow, please look out for it. ",
}
_TESTS: Final = Path(__file__).parents[1] / "tests" / "sensitive"


async def measure(setting: Setting) -> list[Figure]:
    """Recall and precision by language and kind, megabytes a second, and what is found in a thousand real sentences."""
    sentences, scoring = _module("sentences"), _module("scoring")
    count = setting.pick(*_SENTENCES)
    setting.say(f"masking: {count} sentences")
    made = list(sentences.sentences(count, 7))
    score = scoring.scored(made)
    found: list[Figure] = []
    for language, name in _LANGUAGES.items():
        found.append(_share(f"{name}: recall", score.recall(language), 0.995))
        found.append(_share(f"{name}: precision", score.precision(language), 0.98))
        for kind in sentences.KINDS:
            if there := score.there[language, kind]:
                recall = score.found[language, kind] / there
                found.append(_share(f"{name}: {kind}, recall", recall, note=f"of {there}"))
    return [*found, *_speeds(made, setting), *_real(setting)]


def _share(name: str, value: float, least: float | None = None, note: str = "") -> Figure:
    return figure(
        _TOPIC, name, 100 * value, unit="%", target=None if least is None else at_least(100 * least), note=note
    )


def _speeds(made: list[Any], setting: Setting) -> Iterator[Figure]:
    mixed = "\n".join(one.text for one in made[: setting.pick(20_000, 500)])
    times = setting.pick(4_000, 50)
    for name, kinds, aims in (("number kinds", _NUMBERS, (5.0, 1.0)), ("all kinds", None, (5.0, 1.0))):
        for language, text in _PLAIN.items():
            speed = _megabytes(lambda whole: mask(whole, kinds), text * times)  # noqa: B023  # called at once
            yield figure(
                _TOPIC, f"{name}, no values, {_LANGUAGES[language]}", speed, unit="MB/s", target=at_least(aims[0])
            )
        speed = _megabytes(lambda whole: mask(whole, kinds), mixed)  # noqa: B023
        yield figure(_TOPIC, f"{name}, half of the sentences with values", speed, unit="MB/s", target=at_least(aims[1]))
    yield figure(_TOPIC, "a stream, five characters at a time", _megabytes(_streamed, mixed[:200_000]), unit="MB/s")


def _megabytes(work: Callable[[str], object], text: str) -> float:
    work(text[:1_000])
    started = time.process_time()
    work(text)
    return len(text.encode()) / 1e6 / (time.process_time() - started)


def _streamed(text: str) -> str:
    masker = StreamMasker()
    shown = [masker.feed(text[place : place + 5]) for place in range(0, len(text), 5)]
    return "".join([*shown, masker.flush()])


def _real(setting: Setting) -> Iterator[Figure]:
    for name, sentences in (
        ("XQuAD, English", _passages(setting.data / "xquad" / "xquad.en.json")),
        ("XQuAD, Chinese", _passages(setting.data / "xquad" / "xquad.zh.json")),
        ("CMRC 2018", _passages(setting.data / "cmrc2018" / "cmrc2018_trial.json")),
        ("BANKING77", _questions(setting.data / "banking77" / "train.csv")),
    ):
        total, kinds = 0, dict.fromkeys(("name", "address", "others"), 0)
        for sentence in sentences:
            total += 1
            for spot in find(sentence):
                kinds[spot.kind if spot.kind in kinds else "others"] += 1
        for kind, count in kinds.items():
            yield figure(_TOPIC, f"{name}: {kind}", 1_000 * count / total, unit="in 1 000", note=f"{count} of {total}")


def _passages(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise DataMissing(f"{path} is not there; name the folder with --data or HOLDFAST_DATA")
    for text in _texts(json.loads(path.read_text(encoding="utf-8"))):
        yield from (part for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？；])", text) if part.strip())


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, str) and name in ("context", "context_text", "question", "query_text"):
                yield value
            else:
                yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)


def _questions(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise DataMissing(f"{path} is not there; name the folder with --data or HOLDFAST_DATA")
    with path.open(encoding="utf-8", newline="") as file:
        yield from (row[0] for row in list(csv.reader(file))[1:])


def _module(name: str) -> ModuleType:
    """A module of the tests: the sentences are theirs."""
    spec = importlib.util.spec_from_file_location(name, _TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
