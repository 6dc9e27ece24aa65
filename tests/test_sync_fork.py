"""The blocking store after a fork: each process goes on by itself, and neither disturbs the other."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.errors import ConfigError, StoreClosed, StoreUnavailable
from holdfast.sync import InMemorySessionStore, SqliteSessionStore, Store, Turn, open_store
from store_nodes import url_of

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12 and later


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url, tenant=uuid.uuid4().hex[:12], lease=2, poll=0.1) as opened:
        yield opened


class Child:
    """A forked child that runs ``work`` and ends; `wait` fails where the child did."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:  # noqa: BLE001 -- shown, and told by the exit code
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def wait(self, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                assert status == 0, "the child failed: see its traceback in stderr"
                return
            if time.monotonic() > deadline:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
                pytest.fail(f"the child hung for {within} s")
            time.sleep(0.01)


def count(turn: Turn) -> None:
    turn.state["n"] = turn.state.get("n", 0) + 1
    turn.reply(turn.text)


def test_parent_and_children_go_on_with_no_cross_talk(store: Store) -> None:
    store.set("mine", {"who": "parent"})

    def many(who: str) -> None:
        for number in range(40):
            said = f"{who} {number}"
            assert store.run_turn("shared", count, input=said).reply == said
            store.set(who, {"who": who, "number": number})
            assert store.get(who) == {"who": who, "number": number}

    children = [Child(lambda who=f"child-{n}": many(who)) for n in range(3)]  # type: ignore[misc]  # a default binds n
    many("parent")
    for child in children:
        child.wait()
    assert store.get("shared") == {"n": 160}
    assert len({message.turn_id for message in store.messages("shared")}) == 160
    assert all(store.get(f"child-{n}") == {"who": f"child-{n}", "number": 39} for n in range(3))


def test_a_fork_while_threads_are_at_work(store: Store) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []
    done = [0] * 4

    def work(worker: int) -> None:
        try:
            while not stop.is_set():
                store.run_turn(f"s-{worker}", count, input="x")
                done[worker] += 1
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for number in range(8):
        child = Child(lambda: [store.run_turn("child", count, input="x") for _ in range(3)])
        child.wait()
        assert store.get("child") == {"n": 3 * number + 3}
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert [store.get(f"s-{worker}")["n"] for worker in range(4)] == done


def test_a_grandchild_works_as_well(store: Store) -> None:
    store.set("s", {"n": 0})

    def child() -> None:
        store.update("s", {"child": 1})
        Child(lambda: store.update("s", {"grandchild": 1})).wait()
        assert store.get("s") == {"n": 0, "child": 1, "grandchild": 1}

    Child(child).wait()
    assert store.get("s") == {"n": 0, "child": 1, "grandchild": 1}


def test_a_child_that_closes_leaves_the_parent_alone(store: Store) -> None:
    store.set("s", {"n": 1})

    def child() -> None:
        assert store.get("s") == {"n": 1}
        store.close()
        with pytest.raises(StoreClosed):
            store.get("s")

    Child(child).wait()
    Child(store.close).wait()  # one that never used it
    assert store.run_turn("s", count, input="x").reply == "x"


def test_the_turn_of_the_parent_outlives_a_fork_in_its_midst(store: Store) -> None:
    def answer(turn: Turn) -> None:
        turn.step("before", lambda: 1)

        def child() -> None:
            with pytest.raises(StoreUnavailable, match="fork"):
                turn.step("in the child", lambda: 2)
            store.update("s", {"child": 1})

        Child(child).wait()
        turn.step("after", lambda: 3)
        turn.reply("done")

    assert store.run_turn("s", answer, input="?").reply == "done"
    assert store.get("s") == {"child": 1}


def test_a_child_that_leaves_a_forked_handler_does_not_hang(store: Store) -> None:
    pids: list[int] = []

    def answer(turn: Turn) -> None:
        pids.append(os.fork())
        turn.reply("done")

    code = 1
    try:
        store.run_turn("s", answer, input="?")
    except StoreUnavailable as error:
        code = 0 if "forked inside a handler" in str(error) else 2
    finally:
        if pids == [0]:
            os._exit(code)
    assert os.waitpid(pids[0], 0)[1] == 0
    assert len(list(store.messages("s"))) == 2


def test_sqlite_commits_of_a_child_survive_the_parents_close(tmp_path: Path) -> None:
    """With the parent's connection open in the child, this loses acknowledged commits: the WAL is removed under it."""
    path = tmp_path / "s.db"
    store = SqliteSessionStore(path)
    store.set("s", {"n": 0})
    (ready, is_ready), (closed, is_closed) = os.pipe(), os.pipe()

    def child() -> None:
        store.update("s", {"first": 1})
        os.write(is_ready, b"x")
        os.read(closed, 1)
        store.update("s", {"second": 1})

    forked = Child(child)
    os.read(ready, 1)
    store.close()
    sqlite3.connect(path).close()  # and so does another process
    os.write(is_closed, b"x")
    forked.wait()
    with SqliteSessionStore(path) as after:
        assert after.get("s") == {"n": 0, "first": 1, "second": 1}
    for fd in (ready, is_ready, closed, is_closed):
        os.close(fd)


def test_a_memory_store_refuses_in_a_child_rather_than_diverge() -> None:
    store, unused = InMemorySessionStore(), InMemorySessionStore()
    store.set("s", {"n": 1})

    def child() -> None:
        for one in (store, unused):
            with pytest.raises(ConfigError, match="before a fork"):
                one.get("s")
        with InMemorySessionStore() as own:
            own.set("s", {"n": 2})
            assert own.get("s") == {"n": 2}

    Child(child).wait()
    assert store.get("s") == {"n": 1}
    store.close()


def test_a_fork_from_the_loops_own_thread_is_refused_in_the_child(tmp_path: Path) -> None:
    store = SqliteSessionStore(tmp_path / "s.db")

    async def answer(turn: object) -> None:
        def child() -> None:
            with pytest.raises(StoreUnavailable, match="could not wait"):
                store.get("s")

        Child(child).wait()

    store.run_turn("s", answer, input="?")
    store.close()


_PRELOAD = """
import os, sys, time
from holdfast.sync import open_store
store = open_store(sys.argv[1], tenant=sys.argv[2])
store.set("s", {"n": 0})
pids = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(20):
            store.update("s", {f"worker-{n}": i})
        sys.exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
print(sorted(store.get("s").items()))
"""


def test_forked_workers_end_as_quietly_as_their_master(url: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            _PRELOAD,
            url,
            uuid.uuid4().hex,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    expected = str([("n", 0), ("worker-0", 19), ("worker-1", 19), ("worker-2", 19)])
    assert (done.returncode, done.stdout.strip(), noise) == (0, expected, [])


def test_a_child_does_not_keep_the_parents_connections_open(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    import redis

    url, name = url_of("redis", request, tmp_path), f"fork-{uuid.uuid4().hex}"
    store = open_store(f"{url}?client_name={name}")
    store.get("s")
    (end, ended) = os.pipe()
    child = Child(lambda: os.read(end, 1))
    with redis.Redis.from_url(url) as server:

        def connections() -> int:
            return sum(client["name"] == name for client in server.client_list())

        assert connections() > 0
        store.get("s")
        store.close()
        deadline = time.monotonic() + 5
        while connections():
            assert time.monotonic() < deadline, "the child's copies keep them open"
            time.sleep(0.02)
    os.write(ended, b"x")
    child.wait()
    os.close(end)
    os.close(ended)
