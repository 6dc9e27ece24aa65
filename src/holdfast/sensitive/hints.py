"""What has to be in a text before a kind is looked for at all: cheap to find, in the text as it was written."""

from __future__ import annotations

from typing import Final

from holdfast.sensitive.names import CHINESE_WORDS


def _last_of(words: str) -> str:
    """Words by their last character, which is looked for first; then what stands before it."""
    alternatives = "|".join(f"(?<={word})" for word in words.split())
    return f"[{''.join(sorted({word[-1] for word in words.split()}))}](?:{alternatives})"


AT: Final = "[@＠]"
DOTTED: Final = r"\d[.．]\d"
_DIGIT: Final = r"[\d零〇一二三四五六七八九幺]"
DIGITS: Final = rf"{_DIGIT}(?:[^\w\n]{{0,4}}{_DIGIT}){{5}}"
"""Six digits of any script, or spoken, with whatever may stand between them."""

LONG_NUMBER: Final = rf"{_DIGIT}(?:[^\w\n]{{0,4}}{_DIGIT}){{11}}"
_LETTER: Final = "[A-Za-zＡ-Ｚａ-ｚ]"
ACCOUNT: Final = rf"{_LETTER}{{2}}\d\d[ ]?[A-Z\dＡ-Ｚ]{{4}}"
NATIONAL: Final = rf"\d{{3}}[\-－—–‑ ]?\d\d[\-－—–‑ ]?\d{{4}}|{_LETTER}{{2}}[ ]?\d\d[ ]?\d\d[ ]?\d\d"

PLATE: Final = r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-zＡ-Ｚａ-ｚ]"

PLACE: Final = "|".join(
    (
        r"\d[A-Za-zＡ-Ｚ]?[ ]?[号弄栋幢座单室楼层组队户期区门房#\-－—~～之/]",
        r"[一二三四五六七八九十百甲乙丙丁][号弄栋幢座单室楼层组队户区门房]|[A-ZＡ-Ｚ][座栋区幢]",
        r"\d(?:st|nd|rd|th|[A-Za-z]|-\d{1,4})?[ ][A-Za-z\d]|[Bb][Oo][Xx][ ]?#?\d|[AFD]PO[ ]A",
        _last_of("地址 住址 住 在 寄到 寄往 寄去 送到 送往 送至 寄至 发到 发往 收货地 现居 居住 位于 改为 改成 改到"),
    )
)

_BEFORE_CAPITAL: Final = (
    (
        "[_:]is_/[_:]was_/am_/'m_/’m_/[Ii]m_/me_/[Hh]i_/llo_/[Hh]ey_/ear_/[Hh]i,_/llo,_/ey,_/ards_/ards,_/rely,_/rely_/nks_/nks,_/ers_/ers,_/uly,_/lly,_"
        "/[_]of_/[Tt]o_/[Ww]ith_/[Ff]or_/[Ff]rom_/tact_/eet_/mer_/ient_/nger_/ender_/older_/uest_/[Uu]ser_/ember_/and_/ife_/iend_/son_/hter_/ther_"
        "/ster_/ague_/oss_/ager_/bor_/our_/med_/lled_/ame_/'s_/’s_/tion_/ttn_/ned_/ture_/cant_/oyee_/nant_/ured_/inee_/ouse_/iary_/ayee_/ayer_/ssee_/nee_"
        "/[:：=\"'“(\n]/[:：=]_/[Nn]ame_-_/\n_/[\u4e00-\u9fff]/[\u4e00-\u9fff]_/Mr_/Mrs_/Ms_/Mx_/Miss_/Dr_/Prof_/Sir_/Madam_/Mr._/Mrs._/Ms._/Dr._/Prof._/mr_/mrs_"
    )
    .replace("_", " ")
    .replace(". ", r"\. ")
    .split("/")
)


def _name() -> str:
    """One class of characters that is looked for, and by the character what has to stand around it."""
    around: dict[str, list[str]] = {}
    for word in CHINESE_WORDS:
        around.setdefault(word[-1], []).append(f"(?<={word})" if word[0] != "^" else r"(?<![\s\S].)")
    around["收"] = [r"(?=[件货]?(?:[,，。 ;；（(＋+\d电手]|$))"]
    around["A-ZＡ-Ｚ"] = [f"(?<={word}.)" for word in _BEFORE_CAPITAL]
    around["e"] = [r"(?<=[Nn]ame)(?: is|'s| ?:)[ ]?"]
    around["\\d"] = [r"(?<!\d.)(?=(?:[^\w\n]{0,3}\d){6})"]
    cases = "|".join(f"(?<=[{last}])(?:{'|'.join(dict.fromkeys(words))})" for last, words in around.items())
    return f"[{''.join(around)}](?:{cases})"


NAME: Final = _name()
