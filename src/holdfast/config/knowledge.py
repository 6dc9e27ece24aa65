"""``[knowledge]``: the index, its collections, and embeddings beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from holdfast.config.fields import Seconds, Section

_DEFAULT: Final = "default"


def _named(name: str) -> str:
    if name == _DEFAULT or name != name.casefold():
        raise ValueError(
            f'a collection is named in lower case, and not "{_DEFAULT}", which is what [knowledge] itself is'
        )
    return name


CollectionName = Annotated[str, Field(pattern=r"^[\w-]{1,64}$"), AfterValidator(_named)]
"""It becomes a part of a file's name."""


class EmbeddingsSection(Section):
    """``[knowledge.embeddings]``: vectors beside the words, from any OpenAI-compatible ``/embeddings``.

    Attributes:
        name: the model's; another name has all vectors made anew.
        base_url, api_key: of the endpoint, without ``/embeddings``; without a URL it is OpenAI's own.
        dimensions: the size that vectors must have; 0 takes what comes first.
        timeout: seconds that a question waits for its vector; then it is answered by words alone.
        batch_timeout: seconds for a request of documents' passages.
    """

    name: str = Field(min_length=1)
    base_url: str | None = None
    api_key: SecretStr | None = None
    dimensions: int = Field(default=0, ge=0, le=65536)
    timeout: Seconds = 2.0
    batch_timeout: Seconds = 30.0


class CollectionSection(Section):
    """``[knowledge.collections.NAME]``: documents of their own, with word statistics and threshold of their own.

    Attributes:
        folders: read into the collection by ``holdfast knowledge add --config`` and at the server's start.
        passages: how many passages it gives to an answer at most.
        threshold: the least coverage at which a question counts as answerable from it, 0 to 1; None is the collection's own.
        description: what it is about; by that a flow's author or a model chooses.
    """

    folders: tuple[Path, ...] = ()
    passages: int = Field(default=5, ge=1, le=50)
    threshold: float | None = Field(default=None, ge=0, le=1)
    description: str = Field(default="", max_length=500)


class KnowledgeSection(CollectionSection):
    """``[knowledge]``: the default collection, and where all of them are.

    Attributes:
        index: the default collection's file, the others' are beside it; "" is an assistant without documents.
        collections: further ones, by name.
        embeddings: None searches by words alone.
        rewrite: how a question that leans on those before it is made to stand alone: by ``rule`` (their words, weighing less), or
            by the ``model`` of [model], whose question comes beside the user's words. rewrite_timeout: seconds for that.
    """

    index: str = "holdfast-knowledge.db"
    collections: dict[CollectionName, CollectionSection] = Field(default_factory=dict)
    embeddings: EmbeddingsSection | None = None
    rewrite: Literal["rule", "model"] = "rule"
    rewrite_timeout: Seconds = 3.0

    def relative_to(self, folder: Path) -> KnowledgeSection:
        """The same with the folders that are read relative to this one."""
        collections = {
            name: section.model_copy(update={"folders": tuple(folder / path for path in section.folders)})
            for name, section in self.collections.items()
        }
        folders = tuple(folder / path for path in self.folders)
        return self.model_copy(update={"folders": folders, "collections": collections})
