"""The blocking store over every backend: the verbs, turns whose handlers block, and what stays usable after trouble."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast import Message, Outcome, Turn
from holdfast.errors import (
    ConfigError,
    InvalidId,
    SessionExists,
    SessionGone,
    SessionNotFound,
    StoreClosed,
    StoreUnavailable,
    TurnBusy,
    TurnConflict,
    TurnError,
    TurnFinished,
    TurnOvertaken,
    TurnParked,
    UnknownScheme,
    UnsupportedValue,
)
from holdfast.sync import (
    InMemorySessionStore,
    RedisSessionStore,
    SqliteSessionStore,
    Store,
    open_store,
)
from holdfast.sync import Turn as BlockingTurn
from store_nodes import url_of


@pytest.fixture
def url(backend_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(backend_name, request, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url, tenant=uuid.uuid4().hex[:12], lease=2, poll=0.1) as opened:
        yield opened


# --- the verbs -------------------------------------------------------------------------------------------------------


def test_the_three_verbs(store: Store) -> None:
    assert store.get("s-1") == {}
    store.set("s-1", {"logged_in": True, "phone": "138****1234"})
    assert store.get("s-1") == {"logged_in": True, "phone": "138****1234"}
    store.set("s-1", {"phone": "139"})
    assert store.get("s-1") == {"phone": "139"}
    assert store.delete("s-1") is True
    assert store.delete("s-1") is False
    assert store.get("s-1") == {}


def test_a_session_expires_by_its_own_ttl_given_third_or_by_name(store: Store) -> None:
    store.set("positional", {"n": 1}, 0.2)
    store.set("named", {"n": 1}, ttl="200ms")
    assert store.get("positional") == store.get("named") == {"n": 1}
    assert store.touch("named", ttl="1h")
    deadline = time.monotonic() + 5
    while store.get("positional") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert store.get("positional") == {}
    assert store.get("named") == {"n": 1}


def test_touch_exists_create_load_save_update(store: Store) -> None:
    assert not store.exists("s-1")
    assert not store.touch("s-1")
    session = store.create("s-1", {"n": 1}, user="u-1")
    with pytest.raises(SessionExists):
        store.create("s-1")
    session.state["n"] = 2
    store.save(session)
    with pytest.raises(TurnConflict):
        store.save(session, strict=True)
    store.update("s-1", lambda state: state.update(n=state["n"] + 1), append=[Message.user("hello")])
    store.update("s-1", {"other": 1}, remove=["nothing"])
    loaded = store.load("s-1")
    assert loaded is not None
    assert dict(loaded.state) == {"n": 3, "other": 1}
    assert [message.content for message in loaded.messages] == ["hello"]
    assert store.by_user("u-1").ids == ["s-1"]
    with pytest.raises(SessionNotFound):
        store.update("s-2", {"n": 1}, create=False)


def test_messages_and_scan_are_iterators_over_many_pages(store: Store) -> None:
    for part in range(5):
        store.update("long", {}, append=[Message.user(str(part * 100 + number)) for number in range(100)])
    for number in range(250):
        store.set(f"s-{number}", {})
    assert [message.content for message in store.messages("long", page=70)] == [str(n) for n in range(500)]
    assert [message.content for message in store.messages("long", start=498)] == ["498", "499"]
    assert set(store.scan()) == {"long", *[f"s-{number}" for number in range(250)]}
    assert store.read_log("long", limit=2).start == 498
    first = next(iter(store.messages("long")))  # one that is not read to its end
    assert first.content == "0"
    with pytest.raises(SessionNotFound):
        list(store.messages("nothing"))


def test_tenants_see_only_their_own(store: Store) -> None:
    other = store.for_tenant("another")
    store.set("s-1", {"n": 1})
    assert other.get("s-1") == {}
    other.set("s-1", {"n": 2})
    assert store.get("s-1") == {"n": 1}
    other.delete("s-1")


def test_bad_input_is_a_typed_error_and_the_store_goes_on(store: Store) -> None:
    with pytest.raises(InvalidId):
        store.get("")
    with pytest.raises(UnsupportedValue, match=r"cart\.items\[1\]"):
        store.set("s-1", {"cart": {"items": [1, object()]}})
    assert store.get("s-1") == {}


def test_a_closed_store_says_so(url: str) -> None:
    store = open_store(url)
    store.get("s-1")
    store.close()
    store.close()
    with pytest.raises(StoreClosed, match="open another"):
        store.get("s-1")
    never_used = open_store(url)
    never_used.close()
    with pytest.raises(StoreClosed):
        never_used.get("s-1")


def test_check_names_the_backend(store: Store) -> None:
    assert any(finding.subject in ("backend", "server") for finding in store.check())


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_blocking_handler_runs_in_the_thread_that_called(store: Store) -> None:
    seen: list[Any] = []

    def find(order: str, idempotency_key: str) -> dict[str, str]:
        seen.append((threading.current_thread(), idempotency_key))
        return {"id": order, "status": "shipped"}

    def answer(turn: BlockingTurn) -> None:
        seen.append(threading.current_thread())
        order = turn.step("find_order", find, "o-1")
        turn.state["last_order"] = order["id"]
        turn.reply(f"It is {order['status']}, {turn.text}")

    outcome = store.run_turn("s-1", answer, input="where?", turn_id="t-1", user="u-1")
    again = store.run_turn("s-1", answer, input="where?", turn_id="t-1", user="u-1")
    assert (outcome.reply, outcome.replayed) == ("It is shipped, where?", False)
    assert (again.reply, again.replayed) == ("It is shipped, where?", True)
    here = threading.current_thread()
    assert [seen[0], seen[1][0]] == [here, here]
    assert len(seen) == 2
    assert len(seen[1][1]) == 32
    assert store.get("s-1") == {"last_order": "o-1"}


def test_an_async_handler_runs_on_the_loop(store: Store) -> None:
    async def answer(turn: Turn) -> None:
        await asyncio.sleep(0)
        turn.state["n"] = await turn.step("one", int, "1")
        turn.reply("async")

    assert store.run_turn("s-1", answer, input="?").reply == "async"
    assert store.get("s-1") == {"n": 1}


def test_a_plain_function_that_returns_an_awaitable_is_refused(store: Store) -> None:
    async def answer(turn: Any) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match="pass the async function itself"):
        store.run_turn("s-1", lambda turn: answer(turn), input="?")


def test_a_handlers_error_comes_through_and_the_turn_may_be_sent_again(store: Store) -> None:
    calls: list[int] = []

    def answer(turn: BlockingTurn) -> None:
        turn.step("once", lambda: calls.append(1))
        if turn.attempt == 1:
            raise LookupError("broken")
        turn.reply("mended")

    with pytest.raises(LookupError, match="broken"):
        store.run_turn("s-1", answer, input="?", turn_id="t-1")
    assert store.run_turn("s-1", answer, input="?", turn_id="t-1").reply == "mended"
    assert calls == [1]

    def stops(turn: BlockingTurn) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        store.run_turn("s-1", stops, input="?")


def test_a_handler_by_name(store: Store) -> None:
    @store.handler("answer")
    def answer(turn: BlockingTurn) -> None:
        turn.reply("by name")

    store.handler("answer")(answer)
    assert store.run_turn("s-1", "answer", input="1").reply == "by name"
    assert store.run_turn("s-1", answer, input="2").reply == "by name"
    assert store.for_tenant("t").run_turn("s-1", "answer", input="1").reply == "by name"
    store.for_tenant("t").delete("s-1")
    with pytest.raises(Exception, match="registered already"):
        store.handler("answer")(lambda turn: None)


def test_a_handler_may_use_the_store(store: Store) -> None:
    def answer(turn: BlockingTurn) -> None:
        store.update("other", {"seen": turn.text})
        inner = store.run_turn("third", lambda inner: inner.reply("inner"), input="x")
        turn.reply(inner.reply)

    assert store.run_turn("s-1", answer, input="outer").reply == "inner"
    assert store.get("other") == {"seen": "outer"}


def test_the_short_form_commits_at_the_end(store: Store) -> None:
    with store.turn("s-1", input="hello", turn_id="t-1") as turn:
        turn.state["n"] = turn.step("number", lambda: 7)
        turn.reply("hi")
        assert store.get("s-1") == {}
    assert turn.outcome is not None
    assert turn.outcome.reply == "hi"
    assert store.get("s-1") == {"n": 7}
    with pytest.raises(TurnFinished) as finished, store.turn("s-1", input="hello", turn_id="t-1"):
        raise AssertionError("entered")
    assert finished.value.outcome.reply == "hi"


def test_a_body_that_raises_writes_nothing_and_frees_the_session(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.turn("s-1", input="hello") as turn:
        turn.state["n"] = 1
        _ = 1 / 0
    assert store.get("s-1") == {}
    with store.turn("s-1", on_busy="reject"):
        pass


def test_a_body_sees_that_the_session_was_busy(store: Store) -> None:
    with store.turn("s-1"), pytest.raises(TurnBusy), store.turn("s-1", on_busy="reject"):
        raise AssertionError("entered")


@pytest.mark.parametrize("oversleeps", [False, True])
def test_a_turn_whose_session_was_deleted_writes_nothing(store: Store, oversleeps: bool) -> None:
    pause = 1.2 if oversleeps else 0  # past a renewal, which hears of it
    store.set("s-1", {"n": 1})
    with pytest.raises((SessionGone, TurnOvertaken)), store.turn("s-1", input="?") as turn:
        turn.reply("never")
        store.delete("s-1")
        time.sleep(pause)
    store.set("s-1", {"n": 1})
    seen: list[Exception] = []

    def answer(turn: BlockingTurn) -> None:
        store.delete("s-1")
        time.sleep(pause)
        try:
            turn.step("late", lambda: 1)
        except TurnError as error:
            seen.append(error)
            raise

    with pytest.raises((SessionGone, TurnOvertaken)):
        store.run_turn("s-1", answer, input="?")
    assert len(seen) == 1
    assert store.get("s-1") == {}


# --- threads, loops, interrupts --------------------------------------------------------------------------------------


def test_many_threads_lose_no_turn(store: Store) -> None:
    def answer(turn: BlockingTurn) -> None:
        turn.state["n"] = turn.state.get("n", 0) + 1
        turn.reply("ok")

    def many(worker: int) -> None:
        for number in range(10):
            store.run_turn(f"s-{number % 2}", answer, input=f"{worker}/{number}")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(many, range(12)))
    assert store.get("s-0") == store.get("s-1") == {"n": 60}
    assert len(list(store.messages("s-0"))) == 120


async def test_it_works_in_a_thread_that_runs_a_loop_of_its_own(store: Store) -> None:
    store.set("s-1", {"n": 1})
    assert store.get("s-1") == {"n": 1}
    assert store.run_turn("s-1", lambda turn: turn.reply("ok"), input="?").reply == "ok"


def test_a_call_on_its_own_loop_is_an_error_and_not_a_deadlock(store: Store) -> None:
    async def answer(turn: Turn) -> None:
        store.get("s-2")

    with pytest.raises(ConfigError, match="its own event loop"):
        store.run_turn("s-1", answer, input="?")
    assert store.get("s-1") == {}


def test_an_interrupt_in_a_handler_gives_the_turn_back(url: str) -> None:
    def interrupted(turn: BlockingTurn) -> None:
        raise KeyboardInterrupt

    with open_store(url, tenant=uuid.uuid4().hex[:12], lease=60, poll=0.1) as store:
        with pytest.raises(KeyboardInterrupt):
            store.run_turn("s-1", interrupted, input="?", turn_id="t-1")
        started = time.monotonic()
        assert store.run_turn("s-1", lambda turn: turn.reply("ok"), input="?", turn_id="t-1").reply == "ok"
        assert time.monotonic() - started < 15  # its lease was given back, not waited out
        with pytest.raises(KeyboardInterrupt), store.turn("s-1"):
            raise KeyboardInterrupt
        store.set("s-1", {"n": 1})


def test_an_interrupt_while_a_call_waits_leaves_the_store_usable(store: Store) -> None:
    import signal

    def stop(*_: object) -> None:
        raise TimeoutError("enough")

    with store.turn("s-1"):
        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(TimeoutError, match="enough"):
                store.run_turn("s-1", lambda turn: turn.reply("never"), input="queued")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert store.run_turn("s-1", lambda turn: turn.reply("ok"), input="next").reply == "ok"


# --- kinds, urls, the end --------------------------------------------------------------------------------------------


def test_the_kinds_take_what_their_names_say(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with InMemorySessionStore(ttl="2h") as memory:
        memory.set("s", {"n": 1})
    path = tmp_path / "with ? and #" / "s.db"
    path.parent.mkdir()
    with SqliteSessionStore(path, ttl=60, synchronous="normal") as sqlite:
        sqlite.set("s", {"n": 1})
        loaded = sqlite.load("s")
        assert loaded is not None
        assert loaded.expires_at is not None
        assert loaded.expires_at == pytest.approx(time.time() + 60, abs=5)
    assert path.exists()
    with SqliteSessionStore(":memory:") as in_memory:
        in_memory.set("s", {"n": 1})
        assert in_memory.get("s") == {"n": 1}
    server = request.getfixturevalue("redis_server")
    with RedisSessionStore(redis_url=server.url, tenant=uuid.uuid4().hex) as redis:
        redis.set("s", {"n": 1})
        loaded = redis.load("s")
        assert loaded is not None
        assert loaded.expires_at is not None
        assert loaded.expires_at == pytest.approx(time.time() + 3600, abs=5)


def test_a_wrong_url_or_option_is_an_error_where_the_store_is_made() -> None:
    with pytest.raises(UnknownScheme):
        open_store("mysql://u:pw@host/db")
    with pytest.raises(ConfigError, match="frobs"):
        open_store("memory:", frobs=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="ttl"):
        InMemorySessionStore(ttl="soon")


def test_a_server_that_is_not_there_is_an_error_each_time_and_is_found_when_it_comes(tmp_path: Path) -> None:
    store = open_store("redis://u:secret@127.0.0.1:1/0")
    assert "secret" not in repr(store)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.get("s-1")
    store.close()
    late = SqliteSessionStore(tmp_path / "late" / "s.db")
    with pytest.raises(ConfigError):
        late.get("s-1")
    (tmp_path / "late").mkdir()
    assert late.get("s-1") == {}
    late.close()


def test_a_relative_path_is_counted_from_where_the_store_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with_path, with_url = SqliteSessionStore("a.db"), open_store("sqlite:///b.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for store in (with_path, with_url):
        store.set("s", {})
        store.close()
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["a.db", "b.db"]


def test_a_store_that_nobody_holds_any_more_is_closed(tmp_path: Path) -> None:
    store = SqliteSessionStore(tmp_path / "s.db")
    store.set("s", {})
    assert (tmp_path / "s.db-wal").exists()
    del store
    deadline = time.monotonic() + 5
    while (tmp_path / "s.db-wal").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


_LEFT_OPEN = """
import sys, threading, time
from holdfast.sync import open_store
store = open_store(sys.argv[1])
store.set("s", {"n": 1}, ttl=60)
def answer(turn):
    turn.reply("ok")
store.run_turn("s", answer, input="?")
block = store.turn("other", input="?")
block.__enter__()
def waits():
    store.turn("other", wait=60).__enter__()
threading.Thread(target=waits, daemon=True).start()
time.sleep(0.3)
print("done")
"""


def test_the_interpreter_ends_quietly_with_stores_left_open(url: str) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _LEFT_OPEN, url], capture_output=True, text=True, timeout=60
    )
    noise = [
        line for line in done.stderr.splitlines() if not line.startswith("Executing <")
    ]  # slow imports, in dev mode
    assert (done.returncode, done.stdout, noise) == (0, "done\n", [])
    assert time.monotonic() - started < 10


def test_a_blocking_turn_waits_for_a_signal(store: Store) -> None:
    runs: list[str] = []

    @store.handler("asking")
    def asking(turn: BlockingTurn) -> None:
        runs.append(threading.current_thread().name)
        turn.reply(f"approved by {turn.wait_for('approval')}")

    with pytest.raises(TurnParked) as parked:
        store.run_turn("s", "asking", input="x", turn_id="t")
    assert parked.value.waiting_for == "approval"
    assert store.signal("s", "approval", "Ann") == "t"
    assert store.join_turn("s", "t", "asking").reply == "approved by Ann"
    assert set(runs) == {threading.current_thread().name}
    assert len(runs) == 2


def test_a_turn_of_another_thread_is_cancelled(store: Store) -> None:
    started, go_on = threading.Event(), threading.Event()
    outcomes: list[Outcome] = []

    @store.handler("slow")
    def slow(turn: BlockingTurn) -> None:
        started.set()
        go_on.wait(20)
        turn.reply("too late")

    thread = threading.Thread(target=lambda: outcomes.append(store.run_turn("s", "slow", input="x", turn_id="t")))
    thread.start()
    assert started.wait(10)
    assert store.cancel_turn("s", "t", "slow").status == "cancelled"
    go_on.set()
    thread.join(20)
    assert [(outcome.status, outcome.reply) for outcome in outcomes] == [("cancelled", "")]
