"""Conversations of real text: questions that people asked, answered with the passages that they were asked about.

Each sentence of a passage is said once: a text that repeats would be easier to compress than people's talk.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DATA: Final = Path(os.environ.get("HOLDFAST_DATA") or Path(__file__).parents[2] / "shared" / "data")
"""Where the sets lie unless told otherwise: in ``$HOLDFAST_DATA``, or beside the project, not in it."""

LANGUAGES: Final = ("English passages", "Chinese passages", "English short")

_SETS: Final = {
    "English passages": ("xquad/xquad.en.json",),
    "Chinese passages": ("xquad/xquad.zh.json", "cmrc2018/cmrc2018_trial.json"),
    "English short": ("banking77/train.csv",),
}
_SENTENCES: Final = {
    "English passages": re.compile(r"(?<=[.!?])\s+"),
    "Chinese passages": re.compile(r"(?<=[。！？；])"),
}


class DataMissing(Exception):
    """The sets of real text are not where they were looked for."""


def conversations(data: Path, kind: str, turns: int) -> Iterator[list[tuple[str, str]]]:
    """Conversations of ``turns`` pairs (question, answer), as many as the sets give.

    Raises:
        DataMissing: a set is not in the folder ``data``.
    """
    pairs = _utterances(data) if kind == "English short" else _questions(data, kind)
    while batch := list(itertools.islice(pairs, turns)):
        yield batch


def _path(data: Path, name: str) -> Path:
    path = data / name
    if not path.is_file():
        raise DataMissing(f"{path} is not there; name the folder that {name} is in with --data or HOLDFAST_DATA")
    return path


def _utterances(data: Path) -> Iterator[tuple[str, str]]:
    """What customers of a bank wrote, both sides of it: the shortest messages that a conversation has."""
    with _path(data, _SETS["English short"][0]).open(encoding="utf-8", newline="") as file:
        said = [row[0] for row in itertools.islice(csv.reader(file), 1, None)]
    random.Random(1).shuffle(said)
    yield from zip(said[::2], said[1::2], strict=False)


def _questions(data: Path, kind: str) -> Iterator[tuple[str, str]]:
    for name in _SETS[kind]:
        articles = json.loads(_path(data, name).read_text("utf-8"))["data"]
        for passage in (passage for article in articles for passage in article["paragraphs"]):
            sentences = [part for part in _SENTENCES[kind].split(passage["context"]) if part]
            questions = [asked["question"] for asked in passage["qas"]]
            for n, question in enumerate(questions):
                share = sentences[n * len(sentences) // len(questions) : (n + 1) * len(sentences) // len(questions)]
                if share:
                    yield question, ("" if kind.startswith("Chinese") else " ").join(share)
