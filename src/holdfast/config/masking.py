"""``[sensitive]`` and ``[masking]``: which values are sensitive, and who sees them in clear."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from holdfast.config.access import RoleName
from holdfast.config.fields import Section, nearest
from holdfast.sensitive import kinds

_PATH: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FIELD: Final = re.compile(r"[^.]+(?:\.[^.]+)*")


def _kind(value: str) -> str:
    if ":" in value:
        if not _PATH.fullmatch(value):
            raise ValueError(f"{value!r} is not of the form package.module:object")
    elif value not in kinds():
        known = ", ".join(repr(name) for name in kinds())
        raise ValueError(f"should be {known}, or package.module:object{nearest(value, kinds())}")
    return value


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _FIELD.fullmatch(name) or name.split(".")[-1] == "*":
            raise ValueError(f"{name!r} is no name of a field: like phone, order.phone, order.*.phone or *.card_number")
    return value


MaskKind = Annotated[str, AfterValidator(_kind)]
"""The name of a `holdfast.sensitive.Kind`, or the path of one's own."""

SensitiveFields = Annotated[dict[str, MaskKind], AfterValidator(_fields)]
"""``[sensitive]``: state fields by name, at any depth, or by dotted path from the state's root; ``*`` is any levels, also none."""


class ClearSection(Section):
    """``[masking.clear]``: who gets sensitive values as they are. Each list has kinds, or keys of ``[sensitive]``; ``*`` is all.

    Attributes:
        tools: by tool. roles: by role (``user``, ``operator``, ``admin``).
    """

    tools: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    roles: dict[RoleName, tuple[str, ...]] = Field(default_factory=dict)


class MaskingSection(Section):
    """``[masking]``.

    Attributes:
        detect: kinds that are looked for in free text; without it, those that ``[sensitive]`` names.
        before_store: what users write is masked before it is stored. Nobody can get such a value back, tools neither.
        clear: who sees what in clear.
    """

    detect: tuple[MaskKind, ...] | None = None
    before_store: bool = False
    clear: ClearSection = ClearSection()
