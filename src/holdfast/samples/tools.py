"""The sample's tool: orders of a small shop, in a table. A real one would ask the shop's own system."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, NamedTuple


class Order(NamedTuple):
    """An order as the shop keeps it."""

    number: str
    phone: str
    item: dict[str, str]
    status: dict[str, str]
    placed: date


_SHIPPED: Final = {"zh": "已发货，预计明天送达", "en": "shipped, and expected tomorrow"}
_PACKING: Final = {"zh": "正在打包，预计今天发出", "en": "being packed, and leaves today"}
_DELIVERED: Final = {"zh": "已签收", "en": "delivered"}
_REFUNDING: Final = {"zh": "退款处理中,3 个工作日内到账", "en": "being refunded, which takes up to 3 working days"}

ORDERS: Final = (
    Order("HF20931", "13800001234", {"zh": "蓝牙耳机", "en": "Bluetooth headphones"}, _SHIPPED, date(2026, 9, 14)),
    Order("HF20987", "13800001234", {"zh": "机械键盘", "en": "mechanical keyboard"}, _PACKING, date(2026, 9, 20)),
    Order("HF20415", "13900005678", {"zh": "电热水壶", "en": "electric kettle"}, _DELIVERED, date(2026, 8, 30)),
    Order("HF20772", "13700002468", {"zh": "台灯", "en": "desk lamp"}, _REFUNDING, date(2026, 9, 3)),
)
"""Try 138 0000 1234 (two orders), 139 0000 5678 or 137 0000 2468 (one each)."""


def find_order(phone: str, order_number: str | None = None) -> dict[str, Any]:
    """A customer's order. Without a number: the only one, or a choice of all.

    Outcomes: ``unknown_phone``, ``unknown_order`` (not one of this customer's), ``choose``, ``found``.
    """
    orders = [order for order in ORDERS if order.phone == phone]
    if not orders:
        return {"outcome": "unknown_phone"}
    choices = {"order_number": [_choice(order) for order in orders]}
    if order_number is None and len(orders) > 1:
        return {"outcome": "choose", "choices": choices, "count": len(orders)}
    order = next((order for order in orders if order_number in (None, order.number)), None)
    if order is None:
        return {"outcome": "unknown_order", "choices": choices, "wanted": order_number}
    return {
        "outcome": "found",
        "slots": {"order_number": order.number},
        "choices": choices,
        "order": {
            "number": order.number,
            "item": order.item,
            "status": order.status,
            "placed": order.placed.isoformat(),
        },
    }


def _choice(order: Order) -> dict[str, Any]:
    label = {language: f"{order.number} · {item}" for language, item in order.item.items()}
    return {"value": order.number, "label": label}
