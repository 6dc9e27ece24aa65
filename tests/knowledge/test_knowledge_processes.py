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


READS = """
import asyncio, sys
from pathlib import Path
from holdfast.knowledge import KnowledgeIndex

async def main():
    async with await KnowledgeIndex.open(sys.argv[1]) as index:
        print("open", flush=True)
        for line in sys.stdin:
            found = await index.retrieve(line.strip(), limit=10)
            print(" | ".join(sorted(hit.passage.text for hit in found.hits)), f"{found.threshold:.6f}", flush=True)

asyncio.run(main())
"""

REWRITES = """
import sys
from pathlib import Path
from holdfast.knowledge.contract import Extracted, Heading
from holdfast.knowledge.storage import IndexFile

file = IndexFile(Path(sys.argv[1]), write=True)
print("open", flush=True)
for version in range(1, 120):
    text = "".join(f"Part {p}\\nversion{version} of the shared terms, part {p}.\\n" for p in range(4))
    starts = [text.index(f"Part {p}") for p in range(4)]
    file.put("shared", str(version), Extracted(text, headings=[Heading(s, s + 6, 1) for s in starts]))
    if version % 10 == 0:
        file.remove("shared")
"""


def test_a_reading_process_sees_updates_and_removals_of_another_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = IndexFile(path, write=True)
    file.put("a", "1", Extracted("The old price of the goods is nine dollars."))
    command = [sys.executable, "-c", READS, str(path)]
    with subprocess.Popen(command, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        said = reader.stdout
        assert said.readline() == "open\n"

        def ask(question: str) -> str:
            assert reader.stdin is not None
            reader.stdin.write(question + "\n")
            return said.readline().rpartition(" ")[0]

        assert ask("price of the goods") == "The old price of the goods is nine dollars."
        file.put("a", "2", Extracted("The new price of the goods is ten dollars."))
        assert ask("price of the goods") == "The new price of the goods is ten dollars."
        file.put("b", "1", Extracted("Prices rise."))
        assert ask("price") == "Prices rise. | The new price of the goods is ten dollars."
        file.remove("a")
        assert ask("price") == "Prices rise."
        reader.stdin.close()
        assert reader.wait(10) == 0
    file.close()


def test_readers_see_a_document_of_another_process_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    IndexFile(path, write=True).close()
    with subprocess.Popen([sys.executable, "-c", REWRITES, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        file = IndexFile(path, write=False)
        seen: set[str] = set()
        none = 0
        while writer.poll() is None:
            hits = file.search("shared terms", 10)
            versions = {hit.passage.text.split()[0] for hit in hits}
            assert (len(hits), len(versions)) in ((4, 1), (0, 0))
            seen |= versions
            none += not hits
        assert writer.returncode == 0
    assert len(seen) > 3
    file.close()


def test_updating_one_document_of_many_costs_a_small_part_of_a_rebuild(tmp_path: Path) -> None:
    """The bound is loose; the figure is in docs/decisions/knowledge-retrieval.md."""
    words = ["harbour", "lantern", "copper", "meadow", "violin", "saddle", "granite", "orchard", "candle", "river"]

    def text(i: int) -> str:
        return " ".join(
            f"{words[(i * k) % 10].title()} {i * 7919 % 997} meets {words[(i + k) % 10]}." for k in range(6)
        )

    file = IndexFile(tmp_path / "x.db", write=True)
    began = time.perf_counter()
    for i in range(1500):
        file.put(f"{i}", "", Extracted(text(i)))
    file.calibrate()
    build = time.perf_counter() - began
    threshold = file.threshold
    updates: list[float] = []
    for i in range(10):
        began = time.perf_counter()
        file.put(f"{i}", "", Extracted(text(i + 5000)))
        file.calibrate()
        updates.append(time.perf_counter() - began)
        assert file.threshold == threshold  # too little has changed to find it anew
    update = sorted(updates)[len(updates) // 2]
    print(f"build {build:.2f} s, the median of ten updates {update * 1000:.1f} ms")
    assert update < build / 10
    for i in range(100):
        file.put(f"{i}", "", Extracted("Something else altogether."))
    calibrated = file._read(lambda db: db.execute("SELECT value FROM meta WHERE name = 'changed'").fetchone())
    assert calibrated[0] >= 100
    file.calibrate()
    assert file._read(lambda db: db.execute("SELECT value FROM meta WHERE name = 'changed'").fetchone()) == (0,)
    file.close()
