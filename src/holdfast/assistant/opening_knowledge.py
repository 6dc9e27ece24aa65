"""Opens what the config's ``[knowledge]`` names, and reads its folders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from holdfast.assistant.documents import KnowledgeDocuments
from holdfast.config import CollectionSection, Config, EmbeddingsSection, KnowledgeSection
from holdfast.knowledge.adding import add_files, files_in
from holdfast.knowledge.collection_files import DEFAULT, collection_file
from holdfast.knowledge.collections import Collection, Collections
from holdfast.knowledge.contract import Knowledge
from holdfast.knowledge.index import KnowledgeIndex
from holdfast.knowledge.openai_embedder import OpenAIEmbedder

Progress = Callable[[int, int], None]
"""Is told how many documents were read, of how many."""

_log: Final = logging.getLogger(__name__)


async def open_knowledge(config: Config, progress: Progress | None = None) -> Collections | None:
    """The configured collections; None where there are none. Their folders are read into them first: what is new or changed.

    Raises `KnowledgeError` (a folder or an index that is not there, a file that is no index) and `MissingExtra`.
    """
    settings = config.knowledge
    if not settings.index:
        return None
    sections = sections_of(settings)
    files = {name: await asyncio.to_thread(files_in, section.folders) for name, section in sections.items()}
    total, before = sum(map(len, files.values())), 0
    embedder = None if settings.embeddings is None else embedder_of(settings.embeddings)
    closing: list[Callable[[], Awaitable[None]]] = [] if embedder is None else [embedder.aclose]
    members: dict[str, Collection] = {}
    try:
        for name, section in sections.items():
            index = await KnowledgeIndex.open(
                collection_file(Path(settings.index), name),
                write=bool(section.folders),
                embedder=embedder,
                embed_timeout=2.0 if settings.embeddings is None else settings.embeddings.timeout,
            )
            members[name] = Collection(index, section.threshold, section.passages, section.description)
            if section.folders:
                report = await add_files(index, files[name], _further(progress, before, total))
                before += len(files[name])
                for skipped in report.skipped:
                    _log.warning("document %s is left out: %s", skipped.document, skipped.reason)
                if report.degraded:
                    _log.warning("collection %s is searched by words alone for now: %s", name, report.degraded)
    except BaseException:
        await Collections(members, closing).close()
        raise
    return Collections(members, closing)


def sections_of(settings: KnowledgeSection) -> dict[str, CollectionSection]:
    """The collections' settings by name, the default one's first; that is left out where only the others have documents."""
    sections: dict[str, CollectionSection] = {}
    if settings.folders or not settings.collections or Path(settings.index).is_file():
        sections[DEFAULT] = settings
    return sections | dict(settings.collections)


def embedder_of(settings: EmbeddingsSection) -> OpenAIEmbedder:
    """The configured embedder. Raises `MissingExtra`."""
    key = settings.api_key
    return OpenAIEmbedder(
        settings.name,
        base_url=settings.base_url,
        api_key=key.get_secret_value() if key else None,
        dimensions=settings.dimensions,
        timeout=settings.batch_timeout,
    )


def documents_of(config: Config, knowledge: Knowledge | Collections | None) -> KnowledgeDocuments | None:
    """Where the parts look questions up; None without knowledge."""
    if knowledge is None:
        return None
    settings = config.knowledge
    return KnowledgeDocuments(
        knowledge,
        passages=settings.passages,
        threshold=settings.threshold,
        rewrite_timeout=settings.rewrite_timeout,
    )


def _further(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)
