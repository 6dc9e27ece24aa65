"""What is shown of a value. Each is given whatever a field holds, and shows less where that is no such value."""

from __future__ import annotations

import re
from typing import Final

from holdfast.sensitive.plain import INVISIBLE, plain

_NOT_OF_PHONE: Final = re.compile(r"[^\d+]")
_NOT_DIGIT: Final = re.compile(r"\D")
_REGION: Final = re.compile(
    r"(?:中国)?((?:[\u4e00-\u9fff]{2,3}省|[\u4e00-\u9fff]{2,8}(?:自治区|特别行政区))?(?:[\u4e00-\u9fff]{2,7}(?:市|自治州|盟))?)"
)
_TOWN: Final = re.compile(r"([A-Z][A-Za-z.' -]*?)[ ,]*(?:\b[A-Z]{1,2}\d.*|\d{5}.*)?")
_INSIDE: Final = re.compile(r"(?:apt|apartment|suite|ste|unit|flat|floor|room|building|#)\b", re.IGNORECASE)
_COMPOUND: Final = (
    "欧阳",
    "司马",
    "上官",
    "诸葛",
    "东方",
    "皇甫",
    "尉迟",
    "公孙",
    "慕容",
    "长孙",
    "令狐",
    "夏侯",
    "司徒",
)


def phone_mask(value: str) -> str:
    """``138****1234``: three digits in front, four behind; of a short number two and two."""
    value = _NOT_OF_PHONE.sub("", plain(INVISIBLE.sub("", value)))
    if len(value) >= 11:
        return f"{value[:3]}****{value[-4:]}"
    return f"{value[:2]}****{value[-2:]}" if len(value) >= 7 else "****"


def email_mask(value: str) -> str:
    """``j***@example.com``."""
    name, at, host = plain(value).partition("@")
    return f"{name[:1]}***@{host}" if at and name else "***"


def id_card_mask(value: str) -> str:
    """``110***********002X``."""
    return f"{value[:3]}***********{value[-4:]}" if len(value) >= 15 else "***"


def bank_card_mask(value: str) -> str:
    """``**** 1234``."""
    digits = _NOT_DIGIT.sub("", plain(value))
    return f"**** {digits[-4:]}" if len(digits) >= 12 else "****"


def passport_mask(value: str) -> str:
    """``E****5678``."""
    return f"{value[:1]}****{value[-4:]}" if len(value) >= 7 else "****"


def national_id_mask(value: str) -> str:
    """``***-**-6789`` of a number, ``QQ****C`` of letters and numbers."""
    digits = _NOT_DIGIT.sub("", plain(value))
    if value[:1].isalpha() and len(value) >= 8:
        return f"{value[:2]}****{value[-1:]}"
    return f"***-**-{digits[-4:]}" if len(digits) == 9 else "***"


def iban_mask(value: str) -> str:
    """``DE**** 3000``."""
    return f"{value[:2]}**** {value[-4:]}" if len(value) >= 15 else "****"


def plate_mask(value: str) -> str:
    """``京A****5``."""
    return f"{value[:2]}****{value[-1:]}" if len(value) >= 7 else "****"


def ip_mask(value: str) -> str:
    """``192.168.*.*``."""
    parts = value.split(".")
    return f"{parts[0]}.{parts[1]}.*.*" if len(parts) == 4 else "***"


def name_mask(value: str) -> str:
    """``张*`` and ``J***``: how long it is is not shown."""
    value = value.strip()
    if not value:
        return "***"
    if value[0].isascii():
        return f"{value[0]}***"
    return f"{value[:2] if value.startswith(_COMPOUND) and len(value) > 2 else value[0]}*"


def address_mask(value: str) -> str:
    """``广东省深圳市***``, ``***, Springfield, IL``: province and town, and no more."""
    if not value.isascii() and (region := _REGION.match(value)):
        return f"{region[1]}***"
    kept = []
    for part in value.split(",")[1:]:
        town = _TOWN.fullmatch(part.strip())
        if town and not _INSIDE.match(part.strip()):
            kept.append(town[1].strip())
    return ", ".join(["***", *kept])
