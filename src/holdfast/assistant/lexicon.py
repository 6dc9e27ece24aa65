"""The words by which users steer a conversation, in Chinese and English. All patterns are for plain, lower-case text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from holdfast.assistant.contract import Signal

_TAIL: Final = r"[\s,.!~;:,。!…了吧啊呀哦呢的]*+"
"""What may follow a word; possessive: none of the words begins so, and a long run of it would be tried in every split."""
_POLITE: Final = r"(?:please|thanks|thank you|then|it|that|this|now|谢谢|麻烦)?"


def _alternatives(words: str) -> str:
    """``a | b`` over several lines, as a pattern."""
    return "|".join(word.strip() for word in " ".join(words.split()).split(" | "))


def _whole(words: str) -> re.Pattern[str]:
    """Nothing but one of the words, perhaps twice, perhaps politely."""
    return re.compile(rf"\s*(?:(?:{_alternatives(words)}){_TAIL}){{1,2}}{_POLITE}{_TAIL}\Z")


def _anywhere(words: str) -> re.Pattern[str]:
    return re.compile(_alternatives(words))


_LEAD_IN: Final = r"^\s*(?:(?:and|but|no|so|ok|wait|first)\b[,.! ]*)?"

_REACH: Final = (
    r"(?<!don't want to )(?<!don't need to )\b"
    r"(?:talk|speak|chat|connect me|transfer me|put me through|hand me over|pass me on)"
)
_TO: Final = "(?: directly)?(?: to| with)? (?:a |an |your |the |some )?"
_PERSON: Final = (
    r"(?:real |live |actual |human )*"
    r"(?:human|person|agent|representative|operator|colleague|staff|support team|somebody|someone)\b"
)

SIGNALS: Final[Mapping[Signal, re.Pattern[str]]] = {
    "cancel": _whole("""
        cancel | stop | quit | abort | never ?mind | forget (?:it|that|about it) | no need | leave it | i give up
        | i don'?t (?:want|need) (?:to|it|this|that)(?: any ?more)?
        | 取消 | 算了 | 不用了? | 不查了? | 不办了? | 不要了? | 停止? | 退出 | (?:我)?不想(?:查|办|弄|要) | 放弃 | 别(?:查|办|问)
        | (?:先)?不(?:用)?(?:查|办)
    """),
    "affirm": _whole("""
        yes | yeah | yep | yup | sure | ok(?:ay)? | of course | right | correct(?! (?:it|this|that)) | go ahead | do | fine
        | please do | confirm(?:ed)? | agreed | exactly | absolutely
        | (?:looks|sounds) (?:good|right|fine|great) | that'?s (?:right|correct|fine|it)
        | 是 | 是的 | 对 | 对的 | 好 | 好的 | 行 | 可以 | 嗯++ | 要 | 没错 | 当然 | 没问题 | 确认 | 确定 | 同意
        | 来 | 试 | 没有问题 | 没有错 | 没毛病 | 不错 | no problem | not a problem | no worries
    """),
    "deny": re.compile(
        r"\s*(?:no\b(?! (?:problem|worries|doubt|mistake)s?\b)|nope\b|nah\b|not\b(?! a problem\b)|don'?t\b"
        r"|不(?!知|同(?!意)|久|少|多|错|好意思|客气|要紧|用谢)|没有(?!问题|错)|别(?!的|处|人))"
    ),
    "correct": _anywhere(r"""
        \bwrong\b | \bincorrect\b | \bmistaken?\b | \bnot (?:that|this|the)\b | \bi meant?\b | \bactually\b | \binstead\b
        | \bchange (?:it|the|my)\b | \bmake (?:it|that)\b | ^\s*no\b[,.! ]*(?:it'?s|the|my|i)\b
        | 不对 | 错了 | 不是 | 弄错 | 搞错 | 说错 | 写错 | 打错 | 输错 | 换(?:一)?(?:个|下) | 换成 | 改(?:成|为|到|一下)
        | 应该是 | 更正
    """),
    "retry": _whole("""
        retry | (?:try )?(?:once )?again | try | one more time | 再试(?:一次|一下|试)? | 重试(?:一次|一下)? | 再来一次
    """),
    "greet": _whole("""
        hi | hello | hey | hi there | good (?:morning|afternoon|evening)
        | 你好 | 您好 | 嗨 | 哈喽 | 在吗\\?? | 早上好 | 下午好 | 晚上好
    """),
    "thanks": _whole("""
        thanks?(?: you)?(?: (?:so|very) much| a lot)? | thx | cheers | great | perfect | bye | goodbye | that'?s all
        | 谢谢(?:你|您)? | 多谢 | 感谢 | 好的?,? ?谢谢(?:你|您)? | 再见 | 拜拜 | 没有?了 | 没事了
    """),
    "person": re.compile(
        r".*?(?:"
        + _alternatives(rf"""
            {_REACH}{_TO}{_PERSON}
            | \b(?:want|need|get me|give me|like) (?:a |an ){_PERSON}
            | \A\W*(?:a |an )?{_PERSON}(?: agent)?(?:,? please)?\W*\Z
            | (?<!不要)(?<!不用)(?<!别)转(?:接|到|给)?(?:一下)?(?:你们)?(?:的)?(?:人工|真人|客服)
            | (?<!不要)(?<!不用)(?<!是)人工(?:客服|服务|坐席|座席)(?!时间|几点|电话)
            | (?<!不要)(?<!不用)(?:找|要|换|叫|跟|和|与|联系|接)(?:一?个|一?位|你们)?(?:的)?(?:真人|人工|活人|客服人员)
            | \A\W*(?:人工|真人|客服)\W*\Z
        """)
        + r")",
        re.DOTALL,
    ),
    "question": _anywhere(rf"""
        \? | {_LEAD_IN}(?:what|when|where|who|whom|whose|why|how|which|can|could|do|does|did|is|are|will|would|should|may)\b
        | {_LEAD_IN}(?:tell me|explain)\b
        | 吗 | 呢\W*$ | 什么 | 怎么 | 怎样 | 如何 | 多少 | 多久 | 多长 | 多大 | 几(?:天|个|次|点|小时|号|折) | 哪 | 为什么 | 为何
        | 是否 | 有没有 | 能不能 | 可不可以 | 会不会 | 要不要 | 是不是 | 谁
    """),
}
"""``correct`` and ``question`` are searched for anywhere, the others from the start."""

OTHER: Final = _anywhere(r"""
    \bthe other\b | \bother (?:one|order)\b | \banother (?:phone |order )?(?:one|order|number)\b
    | \bdifferent (?:one|order|number)\b
    | 另(?:外)?(?:的)?(?:那|一)?(?:个|笔|单|张|份|条|件) | (?:其他|别)的?(?:订单|号码?) | 换(?:一)?(?:个|笔|单)
""")
LAST: Final = _anywhere(r"\blast one\b | ^\W*(?:the )?last\W*$ | 最后(?:一)?(?:个|笔|单|张|份|条|件) | 倒数第一")
ORDINALS: Final = _anywhere(r"""
    第([一二三四五六七八九]|[1-9])(?:个|笔|单|张|份|条|件) | ^\W*第?([一二三四五六七八九])\W*$
    | \b(first|second|third|fourth|fifth|1st|2nd|3rd|4th|5th)\b | ^\W*(?:no\.? ?|number |#)?([1-9])\W*$
""")
_PLACES: Final = (
    "一 1 first 1st",
    "二 2 second 2nd",
    "三 3 third 3rd",
    "四 4 fourth 4th",
    "五 5 fifth 5th",
    "六 6",
    "七 7",
    "八 8",
    "九 9",
)
ORDINAL_VALUES: Final[Mapping[str, int]] = {
    word: place for place, words in enumerate(_PLACES, 1) for word in words.split()
}

CHINESE: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
WORDS: Final = re.compile(r"\b(?!ok\b)[a-z]{2,}")
