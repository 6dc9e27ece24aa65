"""Opens what the config's ``[knowledge]`` names, and reads its folders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from holdfast.assistant.contract import Documents
from holdfast.assistant.documents import KnowledgeDocuments
from holdfast.config import Config
from holdfast.knowledge.adding import add
from holdfast.knowledge.contract import Knowledge
from holdfast.knowledge.index import KnowledgeIndex

_log: Final = logging.getLogger(__name__)


async def open_knowledge(config: Config) -> KnowledgeIndex | None:
    """The configured index; None where there is none. Folders of the config are read into it first: what is new or changed.

    Raises `KnowledgeError` (a folder or an index that is not there, a file that is no index).
    """
    settings = config.knowledge
    if not settings.index:
        return None
    index = await KnowledgeIndex.open(Path(settings.index), write=bool(settings.folders))
    try:
        if settings.folders:
            report = await add(index, settings.folders)
            for skipped in report.skipped:
                _log.warning("document %s is left out: %s", skipped.document, skipped.reason)
    except BaseException:
        await index.close()
        raise
    return index


def documents_of(config: Config, knowledge: Knowledge | None) -> Documents | None:
    """Where the stages look questions up; None without knowledge."""
    if knowledge is None:
        return None
    return KnowledgeDocuments(knowledge, passages=config.knowledge.passages, threshold=config.knowledge.threshold)
