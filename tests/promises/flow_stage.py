"""Tools of the flow that nodes are killed under: each call is a line in ``$FLOW_EFFECTS``, and takes its time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from holdfast.tools import tool

SECONDS = 0.25


def _noted(*what: str) -> None:
    with Path(os.environ["FLOW_EFFECTS"]).open("a") as file:
        file.write(" ".join(what) + "\n")


def reserve(place: str, idempotency_key: str) -> dict[str, Any]:
    """Reserves a place."""
    _noted("reserve", place, idempotency_key)
    time.sleep(SECONDS)
    return {"number": f"R-{place}"}


@tool(asks=True)
def pay(number: str, idempotency_key: str) -> dict[str, Any]:
    """Pays for a reservation."""
    _noted("pay", number, idempotency_key)
    time.sleep(SECONDS)
    return {"paid": True}
