"""How often a server's process looks for garbage: seldom, and never among what it started with."""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 20_000
"""So many new objects may gather. With Python's 700, the 32 turns that are under way together are searched again and again
(6 to 10 us of a turn)."""


def collect_seldom() -> None:
    """Once, after start-up: indexes, modules and routes stay until the process ends, and need no searching."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
