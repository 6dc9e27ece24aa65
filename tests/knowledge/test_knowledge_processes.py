"""Another process on the same index: killed in the middle of an add, or adding at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.storage import IndexFile

KILLED = """
import sys, time
from pathlib import Path
from holdfast.knowledge import storage
from holdfast.knowledge.contract import Extracted

file = storage.IndexFile(Path(sys.argv[1]), write=True)
whole = storage._delete
def slow(db, name):
    whole(db, name)
    db.execute("INSERT INTO document (name, hash, title, text) VALUES ('half', '', '', '')")
    print("inside", flush=True)
    time.sleep(60)
storage._delete = slow
file.put("a", "new", Extracted("The new text has other words."))
"""

ADDS = """
import sys
from pathlib import Path
from holdfast.knowledge.contract import Extracted
from holdfast.knowledge.storage import IndexFile

file = IndexFile(Path(sys.argv[1]), write=True)
for i in range(40):
    file.put(f"{sys.argv[2]}-{i}", "", Extracted(f"Goods of {sys.argv[2]} number {i}."))
"""


def test_a_process_killed_while_adding_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = IndexFile(path, write=True)
    file.put("a", "old", Extracted("The old text stands here."))
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"inside"
        assert file.search("old text", 5)[0].passage.text == "The old text stands here."  # readers are not held up
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    assert [document.name for document in file.documents()] == ["a"]
    assert file.search("new words", 5) == []
    file.put("a", "new", Extracted("The new text has other words."))
    assert file.hash_of("a") == "new"
    file.close()


def test_two_processes_add_to_one_index(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    children = [subprocess.Popen([sys.executable, "-c", ADDS, str(path), name]) for name in ("one", "two")]
    deadline = time.monotonic() + 30
    for child in children:
        assert child.wait(max(1, deadline - time.monotonic())) == 0
    file = IndexFile(path, write=False)
    assert len(file.documents()) == 80
    assert len(file.search("goods of one number 7", 5)) == 5
    file.close()
