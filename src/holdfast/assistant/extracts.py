"""A summary without a model: what the user asked, and the sentences of the answers that say the most."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.assistant.models.tokens import cut_to, estimated
from holdfast.config import Language
from holdfast.knowledge.sentences import sentences
from holdfast.knowledge.terms import terms

_WHO: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {"user": "用户", "assistant": "助手", "tool": "结果"},
    "en": {"user": "User", "assistant": "Assistant", "tool": "Result"},
}
_FACT: Final = re.compile(r"\d")
_SENTENCE_TOKENS: Final = 48
_SHORT: Final = 4
"""Characters of a user's message ("yes", "好的") that says nothing by itself."""


def extract(before: str, said: Sequence[tuple[str, str]], language: Language, tokens: int) -> str:
    """Lines of what was said, of at most so many tokens; of the summary ``before`` the last lines stay as long as there is room.

    A sentence's score is the mean weight of its terms (rare ones in the conversation weigh more), half as much again where it has a
    number; what the user said counts double. The best are taken, and told in their order.
    """
    spoken = [(role, text[start:end]) for role, text in said for start, end in sentences(text) if len(text) > _SHORT]
    bags = [Counter(terms(sentence)) for _, sentence in spoken]
    seen: Counter[str] = Counter(term for bag in bags for term in bag)
    weights = {term: math.log(1 + len(bags) / count) for term, count in seen.items()}

    def score(place: int) -> float:
        bag, (role, sentence) = bags[place], spoken[place]
        if not bag:
            return 0.0
        mean = sum(weights[term] for term in bag) / math.sqrt(len(bag) + 2)
        return mean * (2.0 if role == "user" else 1.0) * (1.5 if _FACT.search(sentence) else 1.0)

    older = before.splitlines()
    room = tokens - min(sum(estimated(line) + 1 for line in older), tokens // 2)
    taken: dict[int, str] = {}
    for place in sorted(range(len(spoken)), key=score, reverse=True):
        role, sentence = spoken[place]
        line = f"{_WHO[language][role]}: {cut_to(' '.join(sentence.split()), _SENTENCE_TOKENS)}"
        cost = estimated(line) + 1
        if cost <= room and line not in taken.values():
            taken[place] = line
            room -= cost
    lines = [taken[place] for place in sorted(taken)]
    left = tokens - sum(estimated(line) + 1 for line in lines)
    kept: list[str] = []
    for line in reversed(older):
        left -= estimated(line) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join([*reversed(kept), *lines])
