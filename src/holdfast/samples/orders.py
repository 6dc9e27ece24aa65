"""The sample shop's orders and gift cards, in tables. A real shop would ask its own systems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final, Literal, NamedTuple

Stage = Literal["packing", "shipped", "delivered", "refunding"]


class Order(NamedTuple):
    """An order as the shop keeps it."""

    number: str
    phone: str
    item: dict[str, str]
    stage: Stage
    placed: date

    @property
    def status(self) -> dict[str, str]:
        """Where it is, in words."""
        return _STATUS[self.stage]


_STATUS: Final[Mapping[Stage, dict[str, str]]] = {
    "packing": {"zh": "正在打包，预计今天发出", "en": "being packed, and leaves today"},
    "shipped": {"zh": "已发货，预计明天送达", "en": "shipped, and expected tomorrow"},
    "delivered": {"zh": "已签收", "en": "delivered"},
    "refunding": {"zh": "退款处理中,3 个工作日内到账", "en": "being refunded, which takes up to 3 working days"},
}

ORDERS: Final = (
    Order("HF20931", "13800001234", {"zh": "蓝牙耳机", "en": "Bluetooth headphones"}, "shipped", date(2026, 9, 14)),
    Order("HF20987", "13800001234", {"zh": "机械键盘", "en": "mechanical keyboard"}, "packing", date(2026, 9, 20)),
    Order("HF20415", "13900005678", {"zh": "电热水壶", "en": "electric kettle"}, "delivered", date(2026, 8, 30)),
    Order("HF20772", "13700002468", {"zh": "台灯", "en": "desk lamp"}, "refunding", date(2026, 9, 3)),
)
"""Try 138 0000 1234 (two orders), 139 0000 5678 or 137 0000 2468 (one each)."""

GIFT_CARDS: Final[Mapping[str, int]] = {"GC12345678": 135, "GC20260001": 500, "GC00000000": 0}
"""What is left on them, in yuan."""


def order_of(number: str) -> Order | None:
    """The order of this number."""
    return next((order for order in ORDERS if order.number == number), None)
