"""What has to be in a text before a kind is looked for at all: cheap to find, in the text as it was written."""

from __future__ import annotations

from typing import Final


def _last_of(words: str) -> str:
    """Words by their last character, which is looked for first; then what stands before it."""
    alternatives = "|".join(f"(?<={word})" for word in words.split())
    return f"[{''.join(sorted({word[-1] for word in words.split()}))}](?:{alternatives})"


def _capital_after(words: str) -> str:
    """A capital letter behind one of some words; ``_`` is a space."""
    return f"[A-ZＡ-Ｚ](?:{'|'.join(f'(?<={word}.)' for word in words.replace('_', ' ').split('/'))})"


AT: Final = "[@＠]"
DOTTED: Final = r"\d[.．]\d"
_DIGIT: Final = r"[\d零〇一二三四五六七八九幺]"
DIGITS: Final = rf"{_DIGIT}(?:[^\w\n]{{0,4}}{_DIGIT}){{5}}"
"""Six digits of any script, or spoken, with whatever may stand between them."""

PLATE: Final = r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-zＡ-Ｚａ-ｚ]"

PLACE: Final = "|".join(
    (
        r"\d[A-Za-zＡ-Ｚ]?[ ]?[号弄栋幢座单室楼层组队户期区门房#\-－—~～之/]",
        r"[一二三四五六七八九十百甲乙丙丁][号弄栋幢座单室楼层组队户区门房]|[A-ZＡ-Ｚ][座栋区幢]",
        r"\d(?:st|nd|rd|th|[A-Za-z]|-\d{1,4})?[ ][A-Za-z\d]|[Bb][Oo][Xx][ ]?#?\d",
        _last_of("地址 住址 住 在 寄到 寄往 寄去 送到 送往 送至 寄至 发到 发往 收货地 现居 居住 位于 改为 改成 改到"),
    )
)

NAME: Final = "|".join(
    (
        _last_of(
            "叫 叫做 名 名是 名为 姓名 名字 字是 字叫 人 户 患者 病人 乘客 旅客 学员 考生 会员 用户 信息 我是 本人 里是 边是 就是 联系 寄给 送给 转给 账给 汇给 发给 打给 交给 转交 "
            "一下 落款 抬头 署名 呼我 的是 先生 女士 小姐 太太 经理 老师 律师 大夫 教授 同志 师傅 阿姨 叔叔 主任 护士 同学 医生 学生 法人 客户 员工"
        ),
        _capital_after(
            "[_:]is_/[_:]was_/am_/'m_/’m_/[Ii]m_/me_/[Hh]i_/llo_/[Hh]ey_/ear_/[Hh]i,_/llo,_/ey,_/ards_/ards,_/rely,_/rely_/nks_/nks,_/ers_/ers,_/uly,_/lly,_"
            "/[_]of_/[Tt]o_/[Ww]ith_/[Bb]y_/[Ff]or_/[Ff]rom_/tact_/eet_/mer_/ient_/nger_/ender_/older_/uest_/[Uu]ser_/ember_/and_/ife_/iend_/son_/hter_/ther_"
            "/ster_/ague_/oss_/ager_/bor_/our_/med_/lled_/ame_/'s_/tion_/ttn_/ned_/ture_/cant_/oyee_/nant_/ured_/inee_/ouse_/iary_/ayee_/ayer_/ssee_/nee_"
            "/[:：=\"'“(\n]/[:：=]_/\n_/[\u4e00-\u9fff]/[\u4e00-\u9fff]_"
        ),
        r"收[件货]?(?:[,，。 ;；（(＋+\d电手]|$)",
        r"(?<![A-Za-z])(?:M(?:rs?|s|x|iss)|Dr|Prof|Sir|Madam)(?![a-z])|[Nn]ame(?: is|'s| ?:)[ ]",
        r"[a-z\u4e00-\u9fff][ ,，、:：(（]{0,3}(?:(?:phone|tel|mobile|cell|手机号?|电话)[.:： 是]{0,2})?[+＋(（]?\d{3}",
    )
)
