"""Words that carry no subject matter: they are not searched for and do not count as covered or missing.

English: closed-class words (articles, pronouns, prepositions, auxiliaries, conjunctions) and the words that make a sentence a
question. Chinese: the same classes, as whole words that are cut out of a *query* before it is made into bigrams; documents
keep theirs, since a character of a function word may belong to a name there.
"""

from __future__ import annotations

import re
from typing import Final

ENGLISH: Final = frozenset(
    """
    a about above after again against all also although always am among an and any anyone anything are aren as at be because
    been before being below between both but by can cannot could couldn d did didn do does doesn doing don done down during each
    either else ever every few for from further get gets getting give given go goes going got had hadn has hasn have haven
    having he her here hers herself him himself his how however i if in into is isn it its itself just know let ll m many may
    me might mine more most much must my myself near need neither no nor not now of off often on once one only onto or other
    others ought our ours ourselves out over own per please quite rather re really s same shall shan she should shouldn since
    so some someone something such t tell than that the their theirs them themselves then there these they thing things this
    those though through to too toward towards under until up upon us take taken takes taking took use used uses using ve very via
    want was wasn we were
    weren what whatever when whenever where wherever whether which whichever while who whoever whom whose why will with within
    without won would wouldn yes yet you your yours yourself yourselves ok okay hi hello thanks thank
    """.split()  # noqa: SIM905  (a word list reads better as a block)
)

_CHINESE_QUESTION: Final = """
    请问一下 请问 我想问一下 我想知道 想问一下 能不能 可不可以 可以吗 是不是 有没有 会不会 要不要 行不行 好不好
    为什么 多少钱 多贵 几点 几号 怎么办 怎么样 什么样 什么时候 什么时间 什么地方 什么 多少 多久 多长
    多大 多高 多远 几个 几次 几种 几年
    几岁 几天 几月 哪一个 哪一年 哪一 哪个 哪些 哪里 哪儿 哪位 哪种 哪年 哪天 哪家 哪 怎么 怎样 如何 为何
    何时 何地 何处 何人 何种 是否 谁 吗 呢 吧 啊 呀 嘛
"""
_CHINESE_FUNCTION: Final = """
    我们 你们 他们 她们 它们 咱们 自己 这个 那个 这些 那些 这里 那里 这样 那样
    以及 并且 而且 或者 还是 但是 不过 然后 因为 所以 由于 如果 虽然 可以 能够 应该 需要
    已经 正在 一个 一种 一些 一下 的话 属于 关于 对于 根据 通过 之后 之前 的 了 是
"""
ENGLISH_QUESTION: Final = re.compile(
    r"\bhow (?:long|many|much|far|often|old|soon|fast|big|large|tall|high|come)\b|\bwhat (?:kind|type|sort) of\b|\bhow do i\b"
)
CHINESE_QUESTION: Final = re.compile("|".join(sorted(_CHINESE_QUESTION.split(), key=len, reverse=True)))
CHINESE_FUNCTION: Final = re.compile("|".join(sorted(_CHINESE_FUNCTION.split(), key=len, reverse=True)))
