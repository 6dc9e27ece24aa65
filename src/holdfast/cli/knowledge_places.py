"""Which index, collections and embedder a ``holdfast knowledge`` command works on: from its options, or from a config."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from holdfast.errors import ConfigError
from holdfast.knowledge import KnowledgeIndex
from holdfast.knowledge.collection_files import DEFAULT, collection_file, collections_beside
from holdfast.knowledge.embedding import Embedder

if TYPE_CHECKING:
    from holdfast.config import CollectionSection, KnowledgeSection

T = TypeVar("T")

IndexFile = Annotated[
    Path | None,
    typer.Option(
        "--index",
        envvar="HOLDFAST_KNOWLEDGE",
        metavar="FILE",
        show_default="the config's, or holdfast-knowledge.db",
        help="The default collection's file; the others are beside it.",
    ),
]
OneCollection = Annotated[str, typer.Option("--collection", metavar="NAME", help="Which collection.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        show_default=False,
        help="holdfast.toml: its index, folders, thresholds, embeddings.",
    ),
]
_FILE = Path("holdfast-knowledge.db")


@dataclass(frozen=True)
class Place:
    """Where a command works.

    Attributes:
        index: the default collection's file.
        sections: the config's collections by name, the default one among them; empty without a config.
        settings: the config's section.
    """

    index: Path
    sections: dict[str, CollectionSection] = field(default_factory=dict)
    settings: KnowledgeSection | None = None

    def folders(self, collection: str) -> tuple[Path, ...]:
        """The config's folders of a collection."""
        section = self.sections.get(collection)
        return section.folders if section is not None else ()

    def names(self) -> list[str]:
        """The collections that the config names, or else those that there are."""
        return list(self.sections) or list(collections_beside(self.index))

    def run(self, collection: str, work: Callable[[KnowledgeIndex], Awaitable[T]], *, write: bool = False) -> T:
        """Runs ``work`` on a collection."""

        async def main() -> T:
            async with AsyncExitStack() as stack:
                return await work(await self.opened(stack, collection, write=write))

        return asyncio.run(main())

    async def opened(self, stack: AsyncExitStack, collection: str, *, write: bool = False) -> KnowledgeIndex:
        """A collection, closed with the stack."""
        embedder, timeout = self.embedder(stack)
        index = await KnowledgeIndex.open(
            collection_file(self.index, collection), write=write, embedder=embedder, embed_timeout=timeout
        )
        return await stack.enter_async_context(index)

    def embedder(self, stack: AsyncExitStack) -> tuple[Embedder | None, float]:
        """The config's embedder, closed with the stack, and the seconds that a question waits for it."""
        if self.settings is None or self.settings.embeddings is None:
            return None, 2.0
        from holdfast.assistant.opening_knowledge import embedder_of

        made = embedder_of(self.settings.embeddings)
        stack.push_async_callback(made.aclose)
        return made, self.settings.embeddings.timeout


def place_of(index: Path | None, config: Path | None) -> Place:
    """The place that the options name. Raises `ConfigError`."""
    if config is None:
        return Place(index or _FILE)
    from holdfast.assistant.opening_knowledge import sections_of
    from holdfast.config import load_config

    settings = load_config(config).knowledge
    if index is None and not settings.index:
        raise ConfigError(f'{config}: knowledge.index is "": an assistant without documents')
    return Place(index or Path(settings.index), sections_of(settings), settings)


def known(place: Place, collection: str) -> str:
    """The collection's name, if the config (where there is one) has it. Raises `ConfigError`."""
    if place.sections and collection != DEFAULT and collection not in place.sections:
        there = ", ".join(place.sections)
        raise ConfigError(f"the config has no [knowledge.collections.{collection}]; there are: {there}")
    return collection
