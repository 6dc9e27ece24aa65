"""Sensitive values: what they look like in Chinese and English text, and what is shown instead of them.

    from holdfast.sensitive import mask

    mask("call 138 0000 1234")     # "call 138****1234"

Useful alone: nothing here needs a store, a config or a server. See ``docs/sensitive-values.md``.
"""

from holdfast.sensitive.finding import Spotted, find, mask
from holdfast.sensitive.kind import Found, Kind
from holdfast.sensitive.kinds import BUILT_IN, kind_of, kinds, masked, register
from holdfast.sensitive.streaming import StreamMasker
from holdfast.sensitive.value import Sensitive

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
