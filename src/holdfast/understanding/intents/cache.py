"""Trained models in files: arrays of numbers and JSON, never pickle; whole files only."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.understanding.intents.classifier import Classifier, numpy
from holdfast.understanding.intents.features import KINDS, Features

FORMAT: Final = 1
"""Rises whenever a file of before must not be used: with the layout, the features, or the way of training."""

_ARRAYS: Final = ("weights", "bias", "values", "columns", "starts", "firsts")
_DAMAGED: Final = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    zipfile.BadZipFile,
    msgspec.MsgspecError,
    NotImplementedError,
)


class Stored(msgspec.Struct, frozen=True):
    """What stands beside the arrays."""

    format: int
    digest: str
    intents: list[str]
    threshold: float
    words: list[list[str]]
    rarity: list[list[float]]


def digest_of(examples: Sequence[tuple[str, str]], settings: Sequence[Any]) -> str:
    """The name of a model: it changes with every example (not with their order), with the settings, and with the format."""
    content = msgspec.json.encode([FORMAT, list(settings), sorted(examples)])
    return hashlib.sha256(content).hexdigest()[:40]


def load(folder: Path, digest: str) -> tuple[Classifier, float] | None:
    """The classifier and its threshold; None if there is none, or if the file is damaged in any way."""
    np = numpy()
    try:
        with _path(folder, digest).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            stored = msgspec.json.decode(file["about"].tobytes(), type=Stored)
            arrays = {name: file[name] for name in _ARRAYS}
        if stored.format != FORMAT or stored.digest != digest or len(stored.words) != len(KINDS):
            return None
        columns = [{word: place for place, word in enumerate(words)} for words in stored.words]
        classifier = Classifier(stored.intents, Features(columns, stored.rarity), arrays)
    except _DAMAGED:
        return None
    return (classifier, stored.threshold) if _fits(classifier) else None


def save(folder: Path, digest: str, classifier: Classifier, threshold: float) -> None:
    """Writes the file whole or not at all; whoever writes last wins, and all write the same. Raises OSError."""
    np = numpy()
    features = classifier.features
    words = [sorted(columns, key=columns.__getitem__) for columns in features.columns]
    stored = Stored(FORMAT, digest, list(classifier.intents), threshold, words, features.rarity)
    content = io.BytesIO()
    about = np.frombuffer(msgspec.json.encode(stored), np.uint8)
    np.savez(content, allow_pickle=False, about=about, **classifier.arrays)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".intents-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(_path(folder, digest))
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _fits(classifier: Classifier) -> bool:
    """Whether the arrays have the sizes and types that belong together, and only finite numbers."""
    np = numpy()
    arrays, intents, features = classifier.arrays, len(classifier.intents), classifier.features
    if [len(columns) for columns in features.columns] != [len(rarity) for rarity in features.rarity]:
        return False
    starts, firsts, columns = arrays["starts"], arrays["firsts"], arrays["columns"]
    return bool(
        arrays["weights"].shape == (features.count, intents)
        and arrays["bias"].shape == (intents,)
        and firsts.shape == (intents + 1,)
        and firsts[0] == 0
        and starts.shape == (firsts[-1] + 1,)
        and columns.shape == arrays["values"].shape == (starts[-1],)
        and (np.diff(starts) >= 0).all()
        and (np.diff(firsts) >= 0).all()
        and (columns.size == 0 or 0 <= columns.min() <= columns.max() < features.count)
        and all(np.isfinite(arrays[name]).all() for name in ("weights", "bias", "values"))
    )


def _path(folder: Path, digest: str) -> Path:
    return folder / f"intents-{digest}.npz"
