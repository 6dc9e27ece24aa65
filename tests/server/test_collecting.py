"""What a served process does about garbage, tried in a process of its own: it is a setting of the whole process."""

from __future__ import annotations

import subprocess
import sys

from holdfast.server.collecting import YOUNG

_SCRIPT = """
import gc
from holdfast.server.collecting import collect_seldom
kept = [[] for _ in range(1000)]
collect_seldom()
class Node: pass
gone = Node()
gone.itself = gone
del gone
print(gc.isenabled(), gc.get_threshold()[0], gc.get_freeze_count() > 1000, gc.collect() > 0)
"""


def test_what_was_there_at_the_start_is_not_searched_and_new_cycles_still_are() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["True", str(YOUNG), "True", "True"]
