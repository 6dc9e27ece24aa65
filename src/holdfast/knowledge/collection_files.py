"""Where named collections are: each in a file of its own beside the default one's.

``knowledge.db`` is the default collection, ``knowledge.faq.db`` beside it the collection ``faq``. A file each, because word
statistics, threshold and vectors are each collection's own anyway, writers of two collections do not wait for each other, and a
collection can be built elsewhere and copied in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from holdfast.errors import InvalidInput

DEFAULT: Final = "default"
"""The name of the collection that is asked where none is named."""

NAME: Final = r"[\w-]{1,64}"
_NAME: Final = re.compile(NAME)


def collection_file(index: Path, name: str = DEFAULT) -> Path:
    """The file of a collection, beside the default one's.

    Raises `InvalidInput` for a name of other than letters (lower-case), digits, ``-`` and ``_``, 64 at most.
    """
    if name == DEFAULT:
        return index
    if not _NAME.fullmatch(name) or name != name.casefold():
        raise InvalidInput(
            f"{name!r} names no collection: up to 64 lower-case letters, digits, - and _, so that it can be a file's name"
        )
    return index.with_name(f"{index.stem}.{name}{index.suffix}")


def collections_beside(index: Path) -> dict[str, Path]:
    """The collections that there are, by name: the default one first."""
    found = {DEFAULT: index} if index.is_file() else {}
    if index.parent.is_dir():
        for path in sorted(index.parent.iterdir()):
            name = path.name.removeprefix(f"{index.stem}.").removesuffix(index.suffix)
            if (
                name != DEFAULT
                and _NAME.fullmatch(name)
                and path == index.with_name(f"{index.stem}.{name}{index.suffix}")
            ):
                found[name] = path
    return found
