"""Names of persons, where the words around them say that they are names.

A name by itself is not looked for: half of all Chinese words and every capital letter would be one. Neither is a surname with a title
(王先生), which is how anybody is addressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import compiled
from holdfast.sensitive.kind import Found
from holdfast.sensitive.name_lists import COMPOUND, FIRST_NAMES, GIVEN, LAST_NAMES, NEVER, NO_NAMES, SURNAMES


def find_names(text: str) -> Iterator[Found]:
    """Chinese names behind 我叫, 姓名, 联系人 …, before 先生, 女士 …; English ones behind "my name is", Mr, "recipient" …"""
    if not text.isascii():
        yield from _chinese(text)
    if compiled(r"[A-Za-z]{2}").search(text):
        yield from _english(text)


# --- Chinese ---

_SAYS: Final = (
    r"(?:我叫做?|叫做|名叫|名字叫做?|名字[是为]|姓名[是为]?|全名[是为]?|真名[是为]?|我的?名字|(?:收|联系|寄|发|经办|负责|持卡|申请|投保|被保险|受益|紧急联系|开户|委托|"
    r"代理|当事|监护|借款|担保|预[约订]|订[票房]|入住|取[件票]|签收|下单|报名|法定代表|登记|代表|办理|承租|出租|购买|付款|收款|汇款|转账)(?:件|系|货)?人(?:姓名|名字)?[是为叫]?|"
    r"户名[是为]?|开户名|法人|收件信息|收货信息|客户名|客户姓名|用户姓名|(?:朋友|同事|爱人|老婆|老公|妻子|丈夫|妈妈|爸爸|母亲|父亲|儿子|女儿|"
    r"孩子|同学|先生|太太|家人)叫|称呼我|写的是|署名|落款|抬头)"
    r"[ :：是为叫\"“‘「]{0,3}"
)
_MAY_SAY: Final = r"(?:我是|我就是|本人|患者|病人|乘客|旅客|考生|学员|这里是|这边是|我这边是|客户|用户|会员|员工|老师|学生|医生|经理|找一下|寄给|送给|转给|转账给|汇给|发给|打给|转交|联系|交给|姓名)[ :：]{0,2}"
_TITLE: Final = r"收(?:件|货)?(?=[,，。 ;；（(]|\d|\+|电|手|$)|[ ]?(?:(?P<sure>先生|女士|小姐|太太)|老师|经理|医生|大夫|律师|教授|同志|师傅|阿姨|叔叔|主任|护士|同学)"
_NUMBERS: Final = (
    r"(?<=[\u4e00-\u9fff])[ ,，、:：(（]{0,2}(?:的?(?:手机号?|电话|联系电话|身份证号?|tel|TEL|Tel)[ :：是为]{0,2})?"
    r"(?=\+?\(?\d(?:[ \-·.()]{0,2}\d){6})"
)
_DOT: Final = "·"
_CJK: Final = re.compile(r"[\u4e00-\u9fff]")
_FOREIGN: Final = r"[\u4e00-\u9fff]{1,6}(?:·[\u4e00-\u9fff]{1,7}){1,3}"
_AFTER: Final = frozenset(",，。.!！?？;；、 )）(（:：\"”'’」…~-/\n先女小")


def _chinese(text: str) -> Iterator[Found]:
    for match in compiled(_SAYS).finditer(text):
        if end := _name_at(text, match.end(), sure=True):
            yield Found(match.end(), end, text[match.end() : end])
        elif latin := compiled(_CAPITALS).match(text, match.end()):
            if "叫做" not in match[0] and "名叫" not in match[0] or _is_known(latin[0]):
                yield from _trimmed(latin.start(), latin[0])
    for match in compiled(_MAY_SAY).finditer(text):
        end = _name_at(text, match.end(), sure=False)
        if end and end - match.end() >= 2 and (end == len(text) or text[end] in _AFTER or text[end] in NEVER):
            yield Found(match.end(), end, text[match.end() : end])
    for match in compiled(_TITLE).finditer(text):
        start = _name_before(text, match.start(), titled=bool(match["sure"]))
        if start is not None:
            yield Found(start, match.start(), text[start : match.start()])
    for match in compiled(_NUMBERS).finditer(text):
        start = _name_before(text, match.start())
        if start is not None and match.start() - start <= 4:
            yield Found(start, match.start(), text[start : match.start()])


def _surname(text: str, at: int) -> int:
    """Characters of a surname at this place."""
    if compiled(COMPOUND).match(text, at):
        return 2
    return 1 if text[at : at + 1] in SURNAMES else 0


def _name_at(text: str, at: int, *, sure: bool) -> int | None:
    """Where a name that begins here ends. ``sure``: the words before leave no doubt."""
    if foreign := compiled(_FOREIGN).match(text, at):
        return foreign.end()
    length = _surname(text, at)
    if not length or (not sure and compiled(_NO_NAME).match(text, at)):
        return None
    end = at + length
    if not _is_given(text, end, sure=sure):
        if length == 2 and _is_given(text, at + 1, sure=False) and text[at] in SURNAMES:
            return at + 2
        return None
    end += 1
    if _is_given(text, end, sure=sure and _ends(text, end + 1)) and not _begins_word(text, end):
        end += 1
    return end


def _is_given(text: str, at: int, *, sure: bool) -> bool:
    character = text[at : at + 1]
    if not _CJK.fullmatch(character or " "):
        return False
    return character not in NEVER if sure else character in GIVEN and character not in NEVER


def _ends(text: str, at: int) -> bool:
    return at >= len(text) or text[at] in _AFTER or not _CJK.match(text[at]) or text[at] in NEVER


_NO_NAME: Final = (
    r"高[中兴级手端铁]|王者|王国|王牌|金[牌融卡额]|白[金领色]|黄[金牛色]|安[全心徽排]|常[客常见]|何[时人]|任[何意务]|全[部家国职]|平[安台时常]|方[便法面]|钱包|明[天白年]|成[功年为都]|万一|"
    r"马[上路]|江[苏西]|石家|广[东西州告]|海[南口外]|云南|路人|程序|计[算划]|单[身位]|时[间候]|古代|文[化员]|应[该届]|武汉|温[州柔]|沈阳|苏州|谢谢|党员|关[于注心]|车[主友]|水果|通[过知]|"
    r"别[人的]|余额|华为|华人|国[人家内外]|公[司民]|支[付持]|包[裹邮]|班[长级]|司[机法]|师[傅生]|房[东主客]|山[东西]|河[南北]|湖[南北]|幸[运福]|查[询单]|祝|家[长人属庭]|都|解[决释]|曾经|相|成立|毕业|皮肤|周围|米兰|欧洲|居民|纪念|于[同是一二三四五六七八九十今本此]|公元|修建|建[立于成设]|公[里元]|连|元|党"
)
_WORDS: Final = (
    r"想|来自|中生|级|兴|今年|今天|明天|昨天|刚才|刚刚|家在|家住|在|和|同|为了|为什|需要|希望|可以|可能|应该|正在|以前|以后|本人|大家|中午|上午|下午|晚上|早上|一直|一个|一下|两|自己|自从"
    r"|于|以及|会|曾|将|只|才|如果|虽然|最近|目前|平时|同学|同事|先生|老师|成为|毕业|工作|上海|北京|广州|深圳|天津|南京|中国|生日|出生|生于|家庭|地址|性别|联系|信息|资料|真实|今"
)


def _begins_word(text: str, at: int) -> bool:
    return compiled(_WORDS).match(text, at) is not None


def _name_before(text: str, end: int, *, titled: bool = False) -> int | None:
    """Where a whole name (with a given name) that ends here begins, if nothing but signs or known words stand before it."""
    for length in (4, 3, 2):
        start = end - length
        if start < 0:
            continue
        surname = _surname(text, start)
        given = text[start + surname : end]
        if (
            not surname
            or compiled(_NO_NAME).match(text, start)
            or not 1 <= len(given) <= 2
            or (length == 4 and surname != 2)
        ):
            continue
        if all(one in GIVEN and one not in NEVER for one in given) and (titled or _may_begin(text, start)):
            return start
    return None


def _may_begin(text: str, start: int) -> bool:
    if start == 0 or not _CJK.match(text[start - 1]):
        return True
    return text[start - 1] in _LEADS or compiled(_SAYS + r"\Z").search(text, max(0, start - 12), start) is not None


_LEADS: Final = frozenset("的是叫找给为和与跟请问到有由对向让被把位名人户件：")

# --- English ---

_CAPITAL: Final = r"(?:(?:Mc|Mac|O'|D'|De|Di|La|Le|Van|Von)[A-ZÀ-Þ][a-zß-ÿ]+|[A-ZÀ-Þ][a-zß-ÿ]+(?:['\-][A-ZÀ-Þ]?[a-zß-ÿ]+)?|[A-Z]\.?(?=[ ][A-Z])|[A-Z]{2,}(?![a-z0-9]))"
_CAPITALS: Final = rf"{_CAPITAL}(?:[ ](?:(?:van|von|de|da|del|der|la|bin|al)[ ])?{_CAPITAL}){{0,3}}"
_TITLES: Final = r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Sir|Madam)(?:\.|(?=[ ]))[ ]?"
_TELLS: Final = (
    r"(?:\b(?:my|his|her|their|the|your|full|legal|real|first|customer(?:'s)?|client(?:'s)?|patient(?:'s)?|account|passenger|guest)[ ](?:full[ ]|legal[ ]|real[ ]|first[ ]"
    r"|last[ ])?name(?:[ ]is|'s|[ ]was)?(?=[ :=\u4e00-\u9fff])|\bname[ ]?[:=：]|\b(?:sender|recipient|consignee|addressee|cardholder|card[ ]holder"
    r"|account[ ]holder|policyholder|beneficiary|payee|payer|passenger|patient|attn|attention|signed|signature|customer|client|applicant"
    r"|contact(?:[ ]person)?|guest|employee|tenant|insured|holder|emergency[ ]contact|nominee|spouse|billed[ ]to|bill[ ]to|ship[ ]to|shipped[ ]to|deliver(?:ed)?[ ]to|from|to|cc|fao)"
    r"(?:'s)?(?:[ ]name)?(?:[ ]?[:=：]|[ ]is|[ ]was))[ ]*[\"'“]?"
)
_MAY_TELL: Final = (
    r"\b(?:I am|I'm|i am|i'm|im|I’m|i’m|[Tt]his is|[Ii]t's|[Ii]t is|[Cc]all me|[Hh]i,?|[Hh]ello,?|[Hh]ey,?|[Dd]ear|(?:[Kk]ind |[Bb]est |[Ww]arm )?[Rr]egards,?|[Ss]incerely,?|[Tt]hanks,?|[Cc]heers,?|[Yy]ours"
    r"(?: truly| faithfully)?,?|[Oo]n behalf of|[Ss]peak(?:ing)? (?:to|with)|[Tt]alk(?:ing)? (?:to|with)|[Ss]igned by|[Ff]or|[Ff]rom|[Tt]o|[Nn]amed|[Cc]alled|[Cc]ontact|[Aa]sk for|[Mm]eet|"
    r"[Cc]ustomer|[Cc]lient|[Pp]assenger|[Pp]atient|[Rr]ecipient|[Ss]ender|[Cc]ardholder|[Gg]uest|[Uu]ser|[Mm]ember|[Hh]usband|[Ww]ife|[Ff]riend|[Ss]on|[Dd]aughter|[Bb]rother|[Ss]ister"
    r"|[Mm]other|[Ff]ather|[Cc]olleague|[Bb]oss|[Mm]anager|[Nn]eighbou?r|[Aa]ccount of|[Nn]ame of|[Hh]older)[ ](?=[A-Z])"
)
_LOWER: Final = r"(?:\bmy (?:full |first )?name(?: is|'s|:)|\bname ?:)[ ]+(?=[a-z])"


def _english(text: str) -> Iterator[Found]:
    for match in compiled(_TITLES).finditer(text):
        if name := compiled(_CAPITALS).match(text, match.end()):
            yield from _trimmed(name.start(), name[0])
    for match in compiled(_TELLS, re.IGNORECASE).finditer(text):
        if (name := compiled(_CAPITALS).match(text, match.end())) is not None:
            yield from _trimmed(name.start(), name[0])
        elif end := _name_at(text, match.end(), sure=True):
            yield Found(match.end(), end, text[match.end() : end])
    for match in compiled(_MAY_TELL).finditer(text):
        name = compiled(_CAPITALS).match(text, match.end())
        if name is not None and _is_known(name[0]):
            yield from _trimmed(name.start(), name[0])
    for match in compiled(_LOWER, re.IGNORECASE).finditer(text):
        yield from _lower(text, match.end())
    for match in compiled(
        rf"(?<![A-Za-z.]){_CAPITALS}(?=[ ]?[,(:]?[ ]?(?:(?:phone|tel|mobile|cell)[.:]?[ ]?)?\+?\(?\d(?:[ \-.()]{{0,2}}\d){{6}})"
    ).finditer(text):
        words = match[0].split(" ")
        if len(words) >= 2 and _is_known(match[0]) and words[-1].lower() not in NO_NAMES:
            yield from _trimmed(match.start(), match[0])


def _is_known(written: str) -> bool:
    """Whether a name begins with a given name that many have, and is not that of a house or a law."""
    words = written.split(" ")
    return words[0].lower() in FIRST_NAMES - NO_NAMES and not _THINGS.intersection(words)


_THINGS: Final = frozenset(
    "Center Centre University College School Institute Museum Church Hospital Library Hall House Street Road Avenue Park Act Law Laws Theory "
    "Award Prize Company Inc Ltd Group Bank Foundation Society Constitution Effect Syndrome Disease Bridge Island Bay River Lake Airport Stadium Commons Athletics".split()
)


def _trimmed(start: int, written: str) -> Iterator[Found]:
    """Without words behind it, or before it, that are no names."""
    words = written.split(" ")
    while words and words[0].rstrip(".").lower() in ("mr", "mrs", "ms", "mx", "miss", "dr", "prof", "sir", "madam"):
        start += len(words[0]) + 1
        words = words[1:]
    kept: list[str] = []
    for word in words:
        if word.lower() in NO_NAMES and not (kept and word.lower() in LAST_NAMES):
            break
        kept.append(word)
    while kept and (kept[-1].islower() or len(kept) > 1 and _is_shouted(kept[-1], kept[0])):
        kept.pop()
    name = " ".join(kept).removesuffix("'s")
    if len(name) >= 2 and not (len(kept) == 1 and name.isupper() and len(name) <= 3):
        yield Found(start, start + len(name), name)


def _is_shouted(word: str, first: str) -> bool:
    return word.isupper() and len(word) > 1 and not first.isupper()


def _lower(text: str, start: int) -> Iterator[Found]:
    words = compiled(r"[a-z][a-z'\-]+(?:[ ][a-z][a-z'\-]+)?").match(text, start)
    if words is None:
        return
    first, _, second = words[0].partition(" ")
    if first in NO_NAMES:
        return
    after = text[start + len(first) :][:1]
    known = first in FIRST_NAMES
    if (
        second
        and second not in NO_NAMES
        and (second in LAST_NAMES or text[words.end() :][:1] in ("", ",", ".", "!", ";"))
    ):
        yield Found(words.start(), words.end(), words[0])
    elif known or after in ("", ",", ".", "!", ";") or second == "and":
        yield Found(start, start + len(first), first)
