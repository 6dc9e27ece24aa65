"""How many tokens a text has, estimated: exact counts need each model's own vocabulary, which none of us has at hand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from holdfast.assistant.contract import Prompt, ToolSpec

_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\u3000-\u303f]")
_PER_CJK: Final = 0.8
_PER_ASCII: Final = 0.26
_PER_OTHER: Final = 0.6
_PER_MESSAGE: Final = 4
"""For roles and what stands between messages."""


def estimated(text: str) -> int:
    """Tokens of a text, by script: 0.8 for a Chinese, Japanese or Korean character, 0.26 for an ASCII one, 0.6 for any other.

    Byte-pair vocabularies of common models need 0.6 to 1.0 and 0.2 to 0.3; so it is rather too many than too few.
    """
    cjk = len(_CJK.findall(text))
    other = len(text) - cjk
    plain = other if text.isascii() else sum(character.isascii() for character in text)
    return math.ceil(cjk * _PER_CJK + plain * _PER_ASCII + (other - plain) * _PER_OTHER)


def of_prompts(
    prompts: Iterable[Prompt], tools: Iterable[ToolSpec] = (), schema: Mapping[str, Any] | None = None
) -> int:
    """Tokens of a whole request."""
    found = 0
    for prompt in prompts:
        found += _PER_MESSAGE + estimated(prompt.content)
        found += sum(estimated(call.name) + _of_data(call.arguments) for call in prompt.calls)
    found += sum(estimated(tool.name + tool.description) + _of_data(tool.parameters) for tool in tools)
    return found + (_of_data(schema) if schema else 0)


def cut_to(text: str, tokens: int, mark: str = " […] ") -> str:
    """The text, cut in its middle where it has more tokens than that."""
    if estimated(text) <= tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        if estimated(_without_middle(text, kept, mark)) <= tokens:
            low = kept
        else:
            high = kept - 1
    return _without_middle(text, low, mark)


def _without_middle(text: str, kept: int, mark: str) -> str:
    behind = kept // 3
    return text[: kept - behind].rstrip() + mark + (text[-behind:].lstrip() if behind else "")


def _of_data(data: Any) -> int:
    return estimated(msgspec.json.encode(data).decode(errors="replace"))
