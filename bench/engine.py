"""The engine's own work in a turn, without a model: understanding with 77 intents, the policies, a search, a quoted answer.

The store is in memory, so that what is left is the engine; its own share of a turn is told beside it. The questions are customers'
(BANKING77, which also gives the intents) and readers' (XQuAD, which gives the passages), so that some are answered and others not.
"""

from __future__ import annotations

import csv
import itertools
import json
import time
from pathlib import Path
from typing import Any, Final

from bench.dialogue import DataMissing
from bench.figures import Figure, at_most, figure
from bench.setting import Setting
from holdfast import Turn, open_store
from holdfast.assistant.building import build_assistant
from holdfast.config import Config
from holdfast.knowledge.adding import add
from holdfast.knowledge.index import KnowledgeIndex

_TOPIC: Final = "engine"
_PASSAGES: Final = (10, 10_000)
_WARM: Final = 50
_AIM_MS: Final = 5.0
_FLOW: Final = """
flows:
  card_arrival:
    title: {zh: 卡片配送, en: card delivery}
    triggers: {zh: [卡*到哪], en: [where is my card]}
    slots:
      phone: {type: phone, ask: {zh: 手机号？, en: "Your number?"}}
      day: {type: date, ask: {zh: 哪天？, en: "Which day?"}}
    steps:
      - ask: phone
      - ask: day
      - confirm: {zh: "{day}？", en: "{day}?"}
        yes:
          - say: {zh: 好, en: done}
"""
_WALK: Final = ("where is my card", "13900005678", "next Friday", "yes")


async def measure(setting: Setting) -> list[Figure]:
    """Turns that ask documents of 10 and of 10 000 passages, and turns of a flow; p50 and p99 of each."""
    intents = setting.data / "banking77" / "train.csv"
    if not intents.is_file():
        raise DataMissing(f"{intents} is not there; name the folder with --data or HOLDFAST_DATA")
    flows = setting.folder / "flows.yaml"
    flows.write_text(_FLOW, encoding="utf-8")
    found: list[Figure] = []
    for passages in setting.pick(_PASSAGES, _PASSAGES[:1]):
        setting.say(f"engine: {passages} passages")
        index = await _index(setting, passages)
        config = Config(
            store={"url": "memory:"},  # type: ignore[arg-type]  # pydantic makes the section
            knowledge={"index": ""},  # type: ignore[arg-type]
            assistant={  # type: ignore[arg-type]
                "understanding": ["rules", "intents"],
                "flows": [flows],
                "intents": [_intents(setting, intents)],
                "intents_cache": str(setting.folder / "intents"),
            },
        )
        assistant = await build_assistant(config, knowledge=index)
        questions = list(itertools.islice(_questions(setting.data), setting.pick(1000, 60)))
        asked = await _times(assistant, questions)
        walked = await _times(assistant, list(_WALK) * (setting.pick(1000, 60) // 4))
        bare = await _times(_bare, questions)
        await assistant.aclose()
        await index.close()
        for name, times in (("a question", asked), ("a flow's turn", walked)):
            found.append(
                figure(
                    _TOPIC,
                    f"{name}, {passages} passages, 77 intents: p50",
                    _quantile(times, 0.5),
                    unit="ms",
                    target=at_most(_AIM_MS),
                    note=f"p99 {_quantile(times, 0.99):.2f} ms; a turn that only replies: "
                    f"{_quantile(bare, 0.5):.2f} and {_quantile(bare, 0.99):.2f} ms",
                )
            )
    return found


async def _times(handler: Any, words: list[str]) -> list[float]:
    """Milliseconds of each turn, in order of length."""
    times: list[float] = []
    async with open_store("memory:") as store:
        for number, text in enumerate(words):
            started = time.perf_counter()
            await store.run_turn(f"s-{number // 4}", handler, input=text)
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times[_WARM:] or times)


async def _bare(turn: Turn) -> None:
    turn.reply("a reply")


async def _index(setting: Setting, passages: int) -> KnowledgeIndex:
    """Documents of one XQuAD paragraph each, repeated with a number in them until there are so many passages."""
    folder = setting.folder / f"documents-{passages}"
    folder.mkdir()
    for number, text in zip(range(passages), itertools.cycle(_paragraphs(setting.data)), strict=False):
        (folder / f"{number:05}.txt").write_text(f"Part {number}. {text[:900]}", encoding="utf-8")
    index = await KnowledgeIndex.open(setting.folder / f"index-{passages}.db", write=True)
    await add(index, [folder])
    return index


def _paragraphs(data: Path) -> list[str]:
    return [
        paragraph["context"]
        for name in ("xquad/xquad.en.json", "xquad/xquad.zh.json")
        for article in json.loads((data / name).read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
    ]


def _questions(data: Path) -> Any:
    """A reader's and a customer's question in turn."""
    with (data / "banking77" / "test.csv").open(encoding="utf-8", newline="") as file:
        customers = [row[0] for row in itertools.islice(csv.reader(file), 1, None)]
    readers = [
        asked["question"]
        for article in json.loads((data / "xquad" / "xquad.en.json").read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]
    for reader, customer in zip(readers, customers, strict=False):
        yield reader
        yield customer


def _intents(setting: Setting, train: Path) -> Path:
    """The customers' sentences; in a quick run few of each intent."""
    if not setting.quick:
        return train
    kept: dict[str, int] = {}
    target = setting.folder / "few.csv"
    with train.open(encoding="utf-8", newline="") as file, target.open("w", encoding="utf-8", newline="") as few:
        writer = csv.writer(few)
        for row in csv.reader(file):
            kept[row[1]] = kept.get(row[1], 0) + 1
            if kept[row[1]] <= 3:
                writer.writerow(row)
    return target


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
