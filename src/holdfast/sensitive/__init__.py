"""Sensitive values: what they look like in Chinese and English text, and what is shown instead of them.

    from holdfast.sensitive import mask

    mask("call 138 0000 1234")     # "call 138****1234"

Useful alone: nothing here needs a store, a config or a server. See ``docs/sensitive-values.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from holdfast.sensitive.value import Sensitive

if TYPE_CHECKING:
    from holdfast.sensitive.finding import Spotted, find, mask
    from holdfast.sensitive.kind import Found, Kind
    from holdfast.sensitive.registry import BUILT_IN, kind_of, kinds, masked, register
    from holdfast.sensitive.streaming import StreamMasker

__all__ = [
    "BUILT_IN",
    "Found",
    "Kind",
    "Sensitive",
    "Spotted",
    "StreamMasker",
    "find",
    "kind_of",
    "kinds",
    "mask",
    "masked",
    "register",
]

_MODULES: Final = {
    **dict.fromkeys(("Spotted", "find", "mask"), "finding"),
    **dict.fromkeys(("Found", "Kind"), "kind"),
    **dict.fromkeys(("BUILT_IN", "kind_of", "kinds", "masked", "register"), "registry"),
    "StreamMasker": "streaming",
}


def __getattr__(name: str) -> Any:
    """Whatever looks for values is loaded when it is asked for: who only stores a `Sensitive` compiles no patterns."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
