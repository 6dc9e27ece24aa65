"""The sample's tools. They keep nothing: what they "do" has a number made of what was asked for and of the idempotency key, so that
the same call has the same result on every node, and another attempt of a turn does nothing twice."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any, Final

from holdfast.samples.orders import GIFT_CARDS, ORDERS, Order, order_of
from holdfast.tools import tool

_LUNCH: Final = ("12:00", "13:00")
_SUNDAY: Final = 6
_SHORTEST_ADDRESS: Final = 6


@tool(sees=("phone",))
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
            "stage": order.stage,
            "placed": order.placed.isoformat(),
        },
    }


@tool(asks=True, sees=("phone",))
def open_return(phone: str, order_number: str, reason: str, idempotency_key: str) -> dict[str, Any]:
    """Registers the return of an order.

    Args:
        reason: wrong_size, faulty, not_as_described or changed_mind.

    Outcomes: ``opened``, with a ``return_number`` and who pays the ``postage``; ``refused`` (not this customer's).
    """
    order = _own(phone, order_number)
    if order is None:
        return {"outcome": "refused"}
    return {
        "outcome": "opened",
        "return_number": _number("RT", order.number, idempotency_key),
        "postage": "shop" if reason in ("faulty", "not_as_described") else "customer",
    }


@tool(asks=True, sees=("phone",))
def change_delivery_address(phone: str, order_number: str, address: str, idempotency_key: str) -> dict[str, Any]:
    """Sends an order that is still being packed to another address.

    Outcomes: ``changed``, with a ``change_number``; ``too_late`` (it has left meanwhile, or is not this customer's).
    """
    order = _own(phone, order_number)
    if order is None or order.stage != "packing":
        return {"outcome": "too_late"}
    return {"outcome": "changed", "change_number": _number("AD", order.number, address, idempotency_key)}


@tool(asks=True, sees=("phone",))
def book_call(phone: str, call_day: str, call_time: str, idempotency_key: str) -> dict[str, Any]:
    """Books a call-back.

    Args:
        call_day: like 2026-09-22. call_time: like 15:30.

    Outcomes: ``booked``, with a ``call_number``; ``full`` (nobody is there at that time).
    """
    if _LUNCH[0] <= call_time < _LUNCH[1]:
        return {"outcome": "full"}
    return {"outcome": "booked", "call_number": _number("CB", phone, call_day, call_time, idempotency_key)}


@tool
def gift_card_balance(card_number: str) -> dict[str, Any]:
    """What is left on a gift card. Outcomes: ``found``, ``unknown``."""
    balance = GIFT_CARDS.get(card_number)
    return {"outcome": "unknown"} if balance is None else {"outcome": "found", "balance": balance}


def is_working_day(day: str) -> bool:
    """Whether somebody can call on that day (``2026-09-22``): Monday to Saturday. A slot's ``check``."""
    return date.fromisoformat(day).weekday() != _SUNDAY


def is_address(text: str) -> bool:
    """Whether that may be an address: more than a yes. A slot's ``check``."""
    return len(text) >= _SHORTEST_ADDRESS


def _own(phone: str, number: str) -> Order | None:
    order = order_of(number)
    return order if order is not None and order.phone == phone else None


def _choice(order: Order) -> dict[str, Any]:
    label = {language: f"{order.number} · {item}" for language, item in order.item.items()}
    return {"value": order.number, "label": label}


def _number(kind: str, *of: str) -> str:
    digest = hashlib.blake2b("\0".join(of).encode(), digest_size=8).digest()
    return f"{kind}{int.from_bytes(digest) % 1_000_000:06}"
