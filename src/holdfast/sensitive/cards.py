"""Numbers of identity cards, bank cards, accounts and passports; those that have a check digit have to pass it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from holdfast.sensitive.context import before, compiled, in_link, is_numbered, links
from holdfast.sensitive.kind import Found
from holdfast.sensitive.phones import digits_of, is_grouped, starts

_GAP: Final = r"[ \-.·]{0,2}"
_ID_CARD: Final = rf"(?<![\d+.])[1-9](?:{_GAP}\d){{16}}{_GAP}[\dXx](?![\dA-Za-z])"
_OLD_ID_CARD: Final = rf"(?<![\d+.A-Za-z])[1-8](?:{_GAP}\d){{14}}(?![\dA-Za-z])"
_PROVINCES: Final = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
_BANK_CARD: Final = rf"(?<![\d+.A-Z])(?<!\d[a-f])(?<![a-f]{{3}})[1-9](?:{_GAP}\d){{11,18}}(?![\d%]|\.\d|[a-f]{{1,3}}\d)"
_ISSUED: Final = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[0-2])\d{13}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|(?:60|62|64|65)\d{14,17}|9558\d{12,15}"
    r"|(?:2131|1800)\d{11}"
)
"""Beginnings and lengths of cards that are in use; any other needs words beside it."""
_CARD_WORDS: Final = r"(?:卡号?|账号|帐号|账户|储蓄|信用|借记|card|visa|master|amex|account|debit|credit|charged?|pay|paid|used|转到|转账|汇到|打到)[^\d\n]{0,20}$"
_ID_WORDS: Final = (
    r"(?:身份证|身份证号码?|证件|公民身份|户口|\bID(?:[ -]?card)?|identity|identification|sfz)[^\d\n]{0,20}$"
)

_PASSPORT: Final = r"(?<![A-Za-z0-9@._/\-])[EGeg][ \-]?\d{4}[ \-]?\d{4}(?![A-Za-z0-9@_]|[.\-/]\d)"
_ANY_PASSPORT: Final = (
    r"(?<![A-Za-z0-9@._/\-])(?=[A-Za-z0-9 \-]{0,4}\d)(?:(?:[A-Z]{1,3}[ \-]?|[a-z]{1,2})\d{3}[ ]?\d{3,7}|[A-Z]\d{6,7}[A-Z]|\d{3}[ ]?\d{3}[ ]?\d{2,3}|[A-Z]{2}[ ]\d{7})"
    r"(?![A-Za-z0-9@_]|[.\-/]\d)"
)
_PASSPORT_WORDS: Final = r"(?:护照|通行证|旅行证|passport|travel document)[^\d\n]{0,30}$"
_PASSPORT_AFTER: Final = r"[ ,，()（]{0,2}(?:是|is|为)?(?:我的|他的|她的| my| his| her| the)?[ ]?(?:护照|passport)"

_SSN: Final = r"(?<![\dA-Za-z.\-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\dA-Za-z]|[-.]\d)"
_NINE: Final = r"(?<![\dA-Za-z.\-])(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}(?![\dA-Za-z]|[-.]\d)"
_SSN_WORDS: Final = r"(?:\bssn|social security|社会安全|社保)[^\d\n]{0,24}$"
_NINO: Final = r"(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z][A-CEGHJ-NPR-TW-Za-ceghj-npr-tw-z](?:[ ]?\d{2}){3}[ ]?[A-Da-d](?![A-Za-z0-9])"
_IBAN: Final = r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])"
_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27,
    "KW": 30, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip


_SHORTEST: Final = 12


def _tried(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """Matches where a number begins."""
    match_at = compiled(pattern).match
    last = len(text) - _SHORTEST
    return (match for place in starts(text) if place <= last and (match := match_at(text, place)))


def find_id_cards(text: str) -> Iterator[Found]:
    """Chinese identity numbers: of 18 characters with their check digit (ISO 7064 MOD 11-2, as GB 11643 has it) and a date of birth,
    and the old ones of 15 digits where words say so."""
    skip = links(text)
    for match in _tried(_ID_CARD, text):
        value = "".join(one for one in match[0] if one.isalnum()).upper()
        if is_id_card(value) and is_grouped(match[0]) and not in_link(text, skip, match.start()):
            yield Found(match.start(), match.end(), value)
    for match in _tried(_OLD_ID_CARD, text):
        value = digits_of(match[0])
        may_be = value[:2] in _PROVINCES and _is_day(value[8:10], value[10:12]) and is_grouped(match[0])
        if may_be and before(compiled(_ID_WORDS, re.IGNORECASE), text, match.start(), 40):
            yield Found(match.start(), match.end(), value)


def is_id_card(value: str) -> bool:
    """Whether 18 characters are an identity number with the right check digit and a date of birth."""
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(value[:17]))
    return (
        "10X98765432"[total % 11] == value[17]
        and value[6:8] in ("18", "19", "20")
        and _is_day(value[10:12], value[12:14])
    )


def _is_day(month: str, day: str) -> bool:
    return "01" <= month <= "12" and "01" <= day <= "31"


def find_bank_cards(text: str) -> Iterator[Found]:
    """Card numbers of 12 to 19 digits with their check digit (Luhn, ISO/IEC 7812-1), of an issuer's range or where words say so."""
    skip = links(text)
    for match in _tried(_BANK_CARD, text):
        value = digits_of(match[0])
        if not passes_luhn(value) or not is_grouped(match[0], least=2) or in_link(text, skip, match.start()):
            continue
        said = before(compiled(_CARD_WORDS, re.IGNORECASE), text, match.start(), 32)
        if said or (_ISSUED.fullmatch(value) and not is_numbered(text, match.start())):
            yield Found(match.start(), match.end(), value)


def passes_luhn(value: str) -> bool:
    """Whether the last digit is the right one."""
    digits = [int(digit) for digit in value]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def find_ibans(text: str) -> Iterator[Found]:
    """Accounts as ISO 13616 has them, with their check digits and their country's length."""
    for match in compiled(_IBAN).finditer(text):
        start, written = match.start(), match[0]
        length = _IBAN_LENGTHS.get(written[:2].upper())
        end = _end_of(written, length) if length else None
        if end is None:
            continue
        value = written[:end].replace(" ", "").upper()
        number = int("".join(str(int(one, 36)) for one in value[4:] + value[:4]))
        if number % 97 == 1:
            yield Found(start, start + end, value)


def _end_of(written: str, length: int) -> int | None:
    """Where so many characters that are no spaces end."""
    count = 0
    for place, character in enumerate(written):
        count += character != " "
        if count == length:
            after = written[place + 1 : place + 2]
            return place + 1 if not after.isalnum() else None
    return None


def find_passports(text: str) -> Iterator[Found]:
    """Chinese ones (E or G and 8 digits) anywhere, others where words say so."""
    words, after = compiled(_PASSPORT_WORDS, re.IGNORECASE), compiled(_PASSPORT_AFTER, re.IGNORECASE)
    skip = links(text)
    for match in compiled(_PASSPORT).finditer(text):
        if not in_link(text, skip, match.start()) and not is_numbered(text, match.start()):
            yield Found(match.start(), match.end(), _solid(match[0]))
    for match in compiled(_ANY_PASSPORT).finditer(text):
        if before(words, text, match.start(), 40) or after.match(text, match.end()):
            yield Found(match.start(), match.end(), _solid(match[0]))


def find_national_ids(text: str) -> Iterator[Found]:
    """Social security numbers of the US as they are written, ``123-45-6789`` (without hyphens where words say so), and British
    national insurance numbers, ``QQ 12 34 56 C``."""
    words = compiled(_SSN_WORDS, re.IGNORECASE)
    for match in compiled(_SSN).finditer(text):
        if match[1] == "-" or before(words, text, match.start(), 40):
            yield Found(match.start(), match.end(), digits_of(match[0]))
    for match in compiled(_NINE).finditer(text):
        if before(words, text, match.start(), 40):
            yield Found(match.start(), match.end(), match[0])
    for match in compiled(_NINO).finditer(text):
        if match[0][:2].isupper():
            yield Found(match.start(), match.end(), _solid(match[0]))


def _solid(written: str) -> str:
    return written.replace(" ", "").replace("-", "").upper()
