"""Names of persons, where the words around them say that they are names.

A name by itself is not looked for: half of all Chinese words and every capital letter would be one. Neither is a surname with a title
(王先生), which is how anybody is addressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import compiled, ending_in
from holdfast.sensitive.kind import Found
from holdfast.sensitive.name_lists import COMPOUND, FIRST_NAMES, GIVEN, LAST_NAMES, NEVER, NO_NAMES, SURNAMES


def find_names(text: str) -> Iterator[Found]:
    """Chinese names behind 我叫, 姓名, 联系人 …, before 先生, 女士 …; English ones behind "my name is", Mr, "recipient" …"""
    if not text.isascii():
        yield from _chinese(text)
    if compiled(r"[A-Za-z]{2}").search(text):
        yield from _english(text)


# --- Chinese ---

_OF = (
    "收件 联系 收货 寄件 发件 发货 经办 负责 持卡 申请 投保 被保险 受益 紧急联系 开户 委托 代理 当事 监护 借款 担保 预约 预订 订票 订房 入住 取件 取票 签收 下单 报名 "
    "法定代表 登记 代表 办理 承租 出租 购买 付款 收款 汇款 转账 寄货 订货 取货"
).split()
_RELATED = "朋友 同事 爱人 老婆 老公 妻子 丈夫 妈妈 爸爸 母亲 父亲 儿子 女儿 孩子 同学 先生 太太 家人 哥哥 姐姐 弟弟 妹妹 老板".split()
_SAYING = (
    *"我叫 我叫做 叫做 名叫 名字叫 名字叫做 名字是 名字为 名字: 姓名 全名 真名 户名 法人 收件信息 收货信息 客户名 称呼我 写的是 署名 落款 抬头".split(),
    *(f"{one}人" for one in _OF),
    *(f"{one}人姓名" for one in _OF),
    *(f"{one}叫" for one in _RELATED),
)
_MAYBE_SAYING = (
    *"我是 我就是 叫 本人 患者 病人 乘客 旅客 考生 学员 这里是 这边是 客户 用户 会员 员工 老师 学生 医生 经理 找一下 寄给 送给 转给 转账给 汇给 发给 打给 转交 联系 交给".split(),
    *_RELATED,
)
_SURE_TITLES: Final = frozenset({"先生", "女士", "小姐", "太太", "收", "收件", "收货"})
_TITLING = "先生 女士 小姐 太太 老师 经理 医生 大夫 律师 教授 同志 师傅 阿姨 叔叔 主任 护士 同学".split()


CHINESE_WORDS: Final = (
    *_SAYING,
    *(one for one in _MAYBE_SAYING if one != "叫"),
    *_TITLING,
    "[^\u4e00-\u9fff]叫",
    "^叫",
)
"""One of which stands beside every Chinese name that is found, but for those that a number follows."""
_SAYS: Final = rf"{ending_in(_SAYING)}[是为叫 :\"“‘「]{{0,3}}"
_MAY_SAY: Final = rf"{ending_in(_MAYBE_SAYING)}[ :]{{0,2}}"
_TITLE: Final = "|".join(_TITLING) + r"|收(?:件|货)?(?=[,，。 ;；（(]|\d|\+|电|手|$)"
_NUMBERS: Final = (
    r"[\u4e00-\u9fff][ ,，、:：(（]{0,2}(?:的?(?:手机号?|电话|联系电话|身份证号?|tel|TEL|Tel)[ :：是为]{0,2})?"
    r"(?=\+?\(?\d(?:[ \-·.()]{0,2}\d){6})"
)
_DOT: Final = "·"
_CJK: Final = re.compile(r"[\u4e00-\u9fff]")
_FOREIGN: Final = r"[\u4e00-\u9fff]{1,6}(?:·[\u4e00-\u9fff]{1,7}){1,3}"
_AFTER: Final = frozenset(",，。.!！?？;；、 )）(（:：\"”'’」…~-/\n先女小")


_GOES_ON: Final = frozenset("反来要投咨申表说提预致回今昨明想在于已正同与和及等向对从将会曾又才也都有")
"""What goes on behind a name in a sentence about somebody."""


def _chinese(text: str) -> Iterator[Found]:
    for match in compiled(_SAYS).finditer(text):
        if end := _name_at(text, match.end(), sure=True):
            yield Found(match.end(), end, text[match.end() : end])
            continue
        latin = compiled(_CAPITALS).match(text, match.end())
        weak = text[max(0, match.start() - 1) : match.start() + 1] in ("叫做", "名叫")
        if latin and (not weak or _is_known(latin[0])):
            yield from _trimmed(latin.start(), latin[0])
    for match in compiled(_MAY_SAY).finditer(text):
        end = _name_at(text, match.end(), sure=False)
        if match[0][0] == "叫" and _CJK.match(text, max(0, match.start() - 1)) and match.start():
            continue
        if (
            end
            and end - match.end() >= 2
            and (end == len(text) or text[end] in _AFTER or text[end] in NEVER or text[end] in _GOES_ON)
        ):
            yield Found(match.end(), end, text[match.end() : end])
    for match in compiled(_TITLE).finditer(text):
        end = match.start() - (text[match.start() - 1 : match.start()] == " ")
        start = _name_before(text, end, titled=match[0] in _SURE_TITLES)
        if start is not None:
            yield Found(start, end, text[start:end])
    if not compiled(r"\d{3}").search(text):
        return
    for match in compiled(_NUMBERS).finditer(text):
        end = match.start() + 1
        start = _name_before(text, end)
        if start is not None:
            yield Found(start, end, text[start:end])


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
    r"别[人的]|余额|华为|华人|国[人家内外]|公[司民]|支[付持]|包[裹邮]|班[长级]|司[机法]|师[傅生]|房[东主客]|山[东西]|河[南北]|湖[南北]|幸[运福]|查[询单]|祝|家[长人属庭]|都|解[决释]|曾经|相|成立|毕业|皮肤|周围|米兰|欧洲|居民|纪念|于[同是一二三四五六七八九十今本此]|公元|修建|建[立于成设]|公[里元]|连|元|党|管理|成本|支持|服务|项目|宣传|通信|应用|汽车|全科"
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
        begins = _may_begin(text, start)
        common = all(one in GIVEN for one in given) or (titled and begins)
        if common and NEVER.isdisjoint(given) and (titled or begins):
            return start
    return None


def _may_begin(text: str, start: int) -> bool:
    if start == 0 or not _CJK.match(text[start - 1]):
        return True
    return text[start - 1] in _LEADS or compiled(_SAYS + r"\Z").search(text, max(0, start - 12), start) is not None


_LEADS: Final = frozenset("的是叫找给为和与跟请问到有由对向让被把位名人户件：")

# --- English ---

_CAPITAL: Final = r"[A-ZÀ-Þ](?:(?<=M)(?:c|ac)[A-ZÀ-Þ][a-zß-ÿ]+|['’][A-ZÀ-Þ][a-zß-ÿ]+|[a-zß-ÿ]+(?:(?:['’\-][A-ZÀ-Þ]?|[A-ZÀ-Þ])[a-zß-ÿ]+(?:[A-ZÀ-Þ][a-zß-ÿ]+)?)?|\.?(?=[ ][A-ZÀ-Þ])|[A-Z]+(?![a-z0-9]))"
_CAPITALS: Final = rf"{_CAPITAL}(?:[ ](?:(?:van|von|de|da|del|der|la|bin|al)[ ])?{_CAPITAL}){{0,4}}"
_TITLES: Final = frozenset("mr mrs ms mx miss dr prof sir madam".split())
_LABELS: Final = frozenset(
    (
        "name sender recipient consignee addressee cardholder holder policyholder beneficiary payee payer passenger patient attn attention signed "
        "signature customer client applicant contact person guest employee tenant insured nominee spouse to from cc fao user"
    ).split()
)
"""Words behind which, with a colon or "is", a name stands."""
_NAMING: Final = frozenset("my his her their full legal real first last the your given birth".split())
_OPENERS: Final = frozenset(
    (
        "am i'm im i’m me hi hello hey dear regards sincerely thanks cheers yours truly faithfully named called with to for from contact meet by-name "
        "customer client passenger patient recipient sender cardholder guest user member husband wife friend son daughter brother sister mother "
        "father colleague boss manager neighbor neighbour holder it's it’s behalf signed attn"
    ).split()
)
"""Words behind which a name may stand: where it begins with a given name that many have, it does."""
_PERSONAL: Final = frozenset(
    {"am", "i'm", "i’m", "im", "dear", "regards", "sincerely", "cheers", "yours", "truly", "faithfully"}
)
"""Openers behind which two capital words are a name, whatever they are."""
_TO_BE: Final = frozenset({"is", "was", "name's", "name’s"})
_CALLS: Final = r"[ ]?[,(:]?[ ]?(?:(?:phone|tel|mobile|cell)[.:]?[ ]?)?\+?\(?\d(?:[ \-.()]{0,2}\d){6}"


def _english(text: str) -> Iterator[Found]:
    for match in compiled(_CAPITALS).finditer(text):
        start, written = match.start(), match[0]
        if start and text[start - 1].isalpha() and text[start - 1].isascii():
            continue
        introduced = _introduced(text, start)
        while written and (first := written.split(" ")[0].rstrip(".").lower()) in _OPENERS | _TITLES | _LABELS:
            if " " not in written:
                written = ""
                break
            opens = "sure" if first in _TITLES else "likely" if first in _PERSONAL else introduced or "maybe"
            introduced = "sure" if "sure" in (opens, introduced) else opens
            length = len(written.split(" ")[0]) + 1
            start, written = start + length, written[length:]
        if not written:
            continue
        known = introduced == "sure" or (bool(introduced) and _is_known(written))
        known = known or (introduced == "likely" and _is_two_words(written))
        if known or (" " in written and _is_known(written) and compiled(_CALLS).match(text, match.end())):
            yield from _trimmed(start, written)
    for match in compiled(
        r"[Nn]ame(?:[ ]is|'s|[ ]?:)[ ]+(?=[a-z\u4e00-\u9fff])|[Nn]ame[ ]?:(?=[\u4e00-\u9fff])"
    ).finditer(text):
        if _CJK.match(text[match.end()]):
            if end := _name_at(text, match.end(), sure=True):
                yield Found(match.end(), end, text[match.end() : end])
        elif ":" in match[0] or _word_before(text, match.start()) in _NAMING:
            yield from _lower(text, match.end())


def _word_before(text: str, at: int) -> str:
    words = text[max(0, at - 16) : at].split()
    return words[-1].lower() if words else ""


def _introduced(text: str, at: int) -> str:
    """What the words before a place say of it: that a name stands there ("sure"), or may stand there ("maybe")."""
    tail = text[max(0, at - 32) : at]
    said = tail.rstrip(" \n\"'“(:=,-.")
    sign = tail[len(said) :]
    words = said.lower().split()
    if not words:
        return ""
    last, before = words[-1].strip("(\"'"), words[-2] if len(words) > 1 else ""
    if last in _TITLES and "\n" not in sign:
        return "sure"
    if last in _LABELS and (":" in sign or "=" in sign or (last == "name" and "-" in sign)):
        return "sure"
    if "." in sign or "-" in sign:
        return ""
    if last in _TO_BE and (before in _LABELS or before.removesuffix("'s") in _LABELS or last.startswith("name")):
        return "sure"
    if last in _PERSONAL or (last == "is" and before == "this") or (last == "for" and before == "ask"):
        return "likely"
    if (last == "is" and before == "it") or (last == "of" and before in ("behalf", "account", "name")):
        return "maybe"
    return "maybe" if last in _OPENERS else ""


def _is_known(written: str) -> bool:
    """Whether a name begins with a given name that many have, and is not that of a house or a law."""
    words = written.split(" ")
    return words[0].lower() in FIRST_NAMES - NO_NAMES and not any(_is_thing(word) for word in words)


def _is_thing(word: str) -> bool:
    return word in _THINGS and word.lower() not in LAST_NAMES


def _is_two_words(written: str) -> bool:
    words = written.split(" ")
    usual = all(word.rstrip(".").lower() not in NO_NAMES and not _is_thing(word) for word in words)
    return 2 <= len(words) <= 3 and usual and not any(word.isupper() and len(word) > 1 for word in words)


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
        also = word in _ALSO_NAMES and len(words) > 1 and (not kept or word is words[-1])
        if word.lower() in NO_NAMES and not also and not (kept and word.lower() in LAST_NAMES):
            break
        kept.append(word)
    while kept and (kept[-1].islower() or (len(kept) > 1 and _is_shouted(kept[-1], kept[0]))):
        kept.pop()
    name = " ".join(kept).removesuffix("'s")
    if len(name) >= 2 and not (len(kept) == 1 and name.isupper() and len(name) <= 3):
        yield Found(start, start + len(name), name)


_ALSO_NAMES: Final = frozenset({"April", "May", "June", "August", "Will", "Lord", "King", "Prince"})


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
