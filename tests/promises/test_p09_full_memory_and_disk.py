"""P9: full memory or a full disk refuses writes with a typed error, and loses nothing.

Broken on purpose: Redis with little ``maxmemory`` and ``noeviction``, Redis whose append-only file is on a small disk, and
SQLite on one. Several nodes fill it with turns until each is refused. Then every turn that was answered is read back, nothing is
there of those that were refused, and after space was given back turns go on, those that were refused too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from fullness import Filling, holding

from holdfast import Store, open_store
from holdfast.errors import StoreFull, StoreUnavailable
from holdfast.testing import RedisServer
from redis_servers import skip_or_fail
from store_nodes import Figures, needs_redis_server
from workload import KEEP_ALL

MEMORY: Final = "12mb"
DISK_MIB: Final = 12
NODES: Final = 3
SESSIONS: Final = [f"s-{number}" for number in range(6)]
OPTIONS: Final = {"outcomes": KEEP_ALL, "timeout": 5, "settle": 1, "poll": 0.1, "wait": 10}
FOR_EVER_S: Final = 300
"""A lease that outlives the test: a turn that is not given back is not run again."""
SHORT_S: Final = 1
"""A lease that runs out: on a full disk a turn cannot be given back either."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        skip_or_fail("FULL DISK NOT TESTED: mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def nodes_at(stack: AsyncExitStack, url: str, lease: float, count: int = NODES) -> list[Store]:
    options: Any = {**OPTIONS, "lease": lease}
    return [await stack.enter_async_context(open_store(url, **options)) for _ in range(count)]


async def test_redis_with_full_memory(scale: Callable[[int], int], figures: Figures) -> None:
    needs_redis_server()
    rounds, turns, counted = scale(1), 0, Counter[str]()
    for _ in range(rounds):
        async with RedisServer({"maxmemory": MEMORY}) as server, AsyncExitStack() as stack:
            stores = await nodes_at(stack, server.url, FOR_EVER_S)
            filling = Filling(stores, SESSIONS)
            go, started = asyncio.Event(), asyncio.Event()
            held = asyncio.create_task(holding(stores[0], "held", go, started))
            for number in range(20):
                await stores[0].set(f"ballast-{number}", {"x": os.urandom(50_000)})
            await started.wait()
            await filling.until_full()
            # at the brink one more write may fit in: from here on none does
            await asyncio.to_thread(server.command, "CONFIG", "SET", "maxmemory", "2mb")
            go.set()
            assert isinstance(await held, StoreFull)
            # reading, in three ways; listing; deleting; giving back
            await filling.all_is_whole(stores[1], full=True)
            assert len([id_ async for id_ in stores[1].scan()]) >= len(SESSIONS) + 20
            with pytest.raises(StoreFull):
                await stores[2].set("new", {"x": "x" * 50_000})
            for number in range(20):
                assert await stores[2].delete(f"ballast-{number}")
            await asyncio.to_thread(server.command, "CONFIG", "SET", "maxmemory", MEMORY)
            await filling.go_on()
            # its first attempt was given back while the server was full: it runs at once, not after 300 s
            outcome = await stores[1].run_turn("held", lambda turn: turn.reply("now"), input="held", turn_id="held")
            assert outcome.reply == "now"
            (reader,) = await nodes_at(stack, server.url, FOR_EVER_S, 1)
            turns += await filling.all_is_whole(reader)
            counted.update(filling.counts())
    figures("P9", "redis", filled=rounds, turns=turns, **counted, lost=0, half=0)


async def test_sqlite_on_a_full_disk(small_disk: Path, scale: Callable[[int], int], figures: Figures) -> None:
    rounds, turns, counted = scale(1), 0, Counter[str]()
    for round_ in range(rounds):
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(4 << 20))
        async with AsyncExitStack() as stack:
            url = f"sqlite:///{small_disk / f'{round_}.db'}"
            stores = await nodes_at(stack, url, SHORT_S)
            filling = Filling(stores, SESSIONS)
            await filling.until_full()
            await filling.all_is_whole(stores[1], full=True)
            ballast.unlink()
            await filling.go_on()
            (reader,) = await nodes_at(stack, url, SHORT_S, 1)
            turns += await filling.all_is_whole(reader)
            counted.update(filling.counts())
        empty(small_disk)
    figures("P9", "sqlite", filled=rounds, turns=turns, **counted, lost=0, half=0)


@pytest.mark.parametrize("fsync", ["everysec", "always"])
async def test_redis_with_a_full_disk(
    small_disk: Path, scale: Callable[[int], int], figures: Figures, fsync: str
) -> None:
    """At ``always`` redis-server ends itself when its disk is full; started again with space, it has all that it answered."""
    needs_redis_server()
    rounds, turns, counted = scale(1), 0, Counter[str]()
    for round_ in range(rounds):
        folder, ballast = small_disk / str(round_), small_disk / "ballast"
        folder.mkdir()
        ballast.write_bytes(bytes(4 << 20))
        options = {"appendonly": "yes", "appendfsync": fsync, "dir": str(folder), "auto-aof-rewrite-percentage": "0"}
        async with RedisServer(options) as server, AsyncExitStack() as stack:
            stores = await nodes_at(stack, server.url, SHORT_S)
            filling = Filling(stores, SESSIONS)
            await filling.until_full()
            if fsync == "everysec":
                await filling.all_is_whole(stores[1], full=True)
                with pytest.raises(StoreFull, match="save to disk"):
                    await stores[2].delete(SESSIONS[0])
                ballast.unlink()
            else:
                ballast.unlink()
                await server.start()
            await taken_again(stores[0])
            await filling.go_on()
            await server.restart()
            await taken_again(stores[0])
            turns += await filling.all_is_whole(stores[0])
            counted.update(filling.counts())
        empty(small_disk)
    figures("P9", f"redis, its disk full, {fsync}", filled=rounds, turns=turns, **counted, lost=0, half=0)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


async def taken_again(store: Store, within: float = 20.0) -> None:
    """Redis tries its disk again once a second; started again it loads its data first."""
    async with asyncio.timeout(within):
        while True:
            try:
                await store.set("probe", {"a": 1})
                return
            except (StoreFull, StoreUnavailable):
                await asyncio.sleep(0.05)
