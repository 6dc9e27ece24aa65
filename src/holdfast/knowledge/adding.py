"""Folders and files into an index: what changed is read, what did not is skipped, what cannot be read is named."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from holdfast.errors import EmbeddingError, KnowledgeMissing, MissingExtra, UnreadableDocument
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.index import KnowledgeIndex
from holdfast.knowledge.readers import READERS, extract_text, read_file


class Skipped(msgspec.Struct, frozen=True):
    """A file that could not be read, and why. What the index held under its name stays."""

    document: str
    reason: str


class AddReport(msgspec.Struct, frozen=True):
    """What became of the files.

    Attributes:
        added: names of documents that are new or were replaced.
        unchanged: how many were there already with the same content.
        passages: how many passages the added ones have.
        skipped: files that could not be read.
        vectors: how many were made, where the index has an embedder.
        degraded: why some passages have no vector; empty where all have one, or none is wanted.
    """

    added: list[str]
    unchanged: int
    passages: int
    skipped: list[Skipped]
    vectors: int = 0
    degraded: str = ""


def files_in(paths: Iterable[str | Path], under: Iterable[str | Path] = ()) -> list[tuple[Path, str]]:
    """Files and the names that they get: a folder's files (those that a reader takes, hidden ones left out) by their path in
    it, single files by their path in one of the folders ``under``, or else by their file name; sorted, each file once. Two files of
    one name get their folder's name before it.

    Raises `KnowledgeMissing` where a path does not exist.
    """
    found: dict[Path, str] = {}
    roots = [Path(root).resolve() for root in under]
    for given in map(Path, paths):
        if given.is_dir():
            for path in _walk(given):
                found.setdefault(path, path.relative_to(given).as_posix())
        elif given.exists():
            path = given.resolve()
            root = next((root for root in roots if path.is_relative_to(root)), None)
            found.setdefault(given, given.name if root is None else path.relative_to(root).as_posix())
        else:
            raise KnowledgeMissing(f"there is no file or folder {given}")
    taken: dict[str, int] = {}
    for name in found.values():
        taken[name] = taken.get(name, 0) + 1
    named = [
        (path, f"{path.resolve().parent.name}/{name}" if taken[name] > 1 else name) for path, name in found.items()
    ]
    return sorted(named, key=lambda pair: pair[1])


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where) / name
            if not name.startswith(".") and path.suffix.lower() in READERS and path.is_file():
                yield path


async def add(
    index: KnowledgeIndex, paths: Iterable[str | Path], progress: Callable[[int, int], None] | None = None
) -> AddReport:
    """Adds folders and files to an index opened with ``write``, then calibrates it; ``progress`` is told (done, of how many).

    A file whose name and content are in the index already is not read again. Documents whose file is gone stay: `remove` them.
    """
    return await add_files(index, await asyncio.to_thread(files_in, list(paths)), progress)


async def add_files(
    index: KnowledgeIndex,
    files: Sequence[tuple[Path, str]],
    progress: Callable[[int, int], None] | None = None,
    embedded: Callable[[int], None] | None = None,
) -> AddReport:
    """The same for files that have their names; ``embedded`` is told how many vectors were made so far."""
    added: list[str] = []
    skipped: list[Skipped] = []
    unchanged = passages = 0
    for done, (path, name) in enumerate(files, 1):
        try:
            read = await asyncio.to_thread(_read, path, name, await index.hash_of(name))
            if read is None:
                unchanged += 1
            else:
                passages += await index.put(name, *read)
                added.append(name)
        except UnreadableDocument as error:
            skipped.append(Skipped(name, error.reason))
        except (KnowledgeMissing, MissingExtra) as error:
            skipped.append(Skipped(name, str(error)))
        if progress is not None:
            progress(done, len(files))
    if added:
        await index.calibrate()
    vectors, degraded = 0, ""
    try:
        vectors = await index.embed(embedded)
    except EmbeddingError as error:
        degraded = str(error)
    return AddReport(added, unchanged, passages, skipped, vectors, degraded)


async def vanished(index: KnowledgeIndex, files: Sequence[tuple[Path, str]]) -> list[str]:
    """The documents of the index that are none of these files: what `remove` may take away when folders are read whole."""
    names = {name for _, name in files}
    return [document.name for document in await index.documents() if document.name not in names]


def _read(path: Path, name: str, known: str | None) -> tuple[str, Extracted] | None:
    data, suffix = read_file(path, name)
    digest = hashlib.sha256(data).hexdigest()
    return None if digest == known else (digest, extract_text(name, data, suffix))
