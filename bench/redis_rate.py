"""How near the client comes to redis-benchmark, which sends the same function call."""

from __future__ import annotations

import asyncio
import csv
import shutil
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import hiredis

from bench.counters import Raw
from bench.figures import Figure, Target, at_least, figure
from bench.redis_commit import update
from bench.rounds import Cost, cost_of, interleaved, median, micros, ratio
from bench.setting import Setting
from bench.workload import REPLY, fresh, run_turn
from holdfast import Message, Store, open_store
from holdfast.backends.contract import Backend
from holdfast.backends.records import Record, SessionKey
from holdfast.backends.redis.library import SERVER
from holdfast.sessions.settings import StoreSettings
from holdfast.testing.servers import RedisServer, ServerMissing
from holdfast.wiring import open_backend


async def measure(setting: Setting) -> list[Figure]:
    async with RedisServer() as server, open_store(server.url, ttl="2h") as store:
        backend = await open_backend(server.url, StoreSettings())
        try:
            return await _rates(setting, server, backend, store)
        finally:
            await backend.close()


async def _rates(setting: Setting, server: RedisServer, backend: Backend, store: Store) -> list[Figure]:
    """A session takes the same update from all sides, each time anew from an empty one; from a store, one for each caller."""
    program = shutil.which("redis-benchmark")
    if program is None:
        raise ServerMissing("redis-benchmark is not installed: it comes with redis-server or redis-tools")
    key = SessionKey("", fresh("rate", 1)[0])
    count = setting.pick(20_000, 2_000)
    call, commit_id = await captured(server, backend, key)
    args = _benchmark_call(call)
    with Raw(server.port) as raw:
        raw.call("FUNCTION", "LOAD", "REPLACE", _library(call, commit_id))

    async def all_callers(call: Callable[[str, int], Awaitable[object]], names: Sequence[str]) -> Cost:
        async def caller(name: str) -> None:
            for number in range(count // 64):
                await call(name, number)

        async def callers() -> None:
            await asyncio.gather(*[caller(name) for name in names])

        return await cost_of(callers, count // 64 * 64)

    async def ours() -> Cost:
        await backend.delete(key)
        return await all_callers(lambda _name, _number: update(backend, key), [""] * 64)

    async def updates() -> Cost:
        def one(name: str, number: int) -> Awaitable[object]:
            return store.update(name, {"step": number}, append=[Message.assistant(REPLY)])

        return await all_callers(one, fresh("updates", 64))

    async def turns() -> Cost:
        return await all_callers(lambda name, _: run_turn(store, name), fresh("turns", 64))

    async def benchmark() -> Cost:
        await backend.delete(key)
        rate = await _benchmark_rate([program, "-p", str(server.port), "-c", "50", "-P", "16", "-n", str(count)], args)
        found = await backend.load(key, tail=0)
        assert isinstance(found, Record)
        assert found.total >= count  # every call did its whole work (it may send a few more)
        return Cost(1 / rate, 0.0)

    sides = {"redis-benchmark": benchmark, "backend": ours, "updates": updates, "turns": turns}
    theirs, bare, whole, both = (await interleaved(sides, setting.pick(15, 1), setting.say)).values()

    def line(what: str, mine: Sequence[Cost], target: Target | None = None) -> Figure:
        rates = [f"{1 / median(side, 'wall_s'):.0f}" for side in (mine, theirs)]
        note = f"{rates[0]} / {rates[1]} a second; client CPU {micros(mine, 'client_s')}"
        name = f"{what} a second, 64 callers / redis-benchmark -P 16 with the same call"
        return figure("rate", name, ratio(theirs, mine, "wall_s"), target=target, note=note)

    return [
        line("commits", bare, at_least(0.4)),
        line("updates through the whole codec path", whole, at_least(0.5)),
        line("turns (a begin and a commit each)", both),
    ]


async def _benchmark_rate(command: list[str], args: list[str]) -> float:
    process = await asyncio.create_subprocess_exec(
        *command, "-r", "2000000000", "--csv", *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    rows = [row for row in csv.reader(out.decode().splitlines()) if len(row) > 1 and row[0] != "test"]
    if process.returncode or not rows:
        raise RuntimeError(f"redis-benchmark failed: {(out + err).decode()[-500:]}")
    return float(rows[-1][1])


async def captured(server: RedisServer, backend: Backend, key: SessionKey) -> tuple[list[bytes], bytes]:
    """The arguments of one update's call, as the backend sends them to the server, and its commit id."""
    heard: asyncio.Queue[list[bytes]] = asyncio.Queue()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", server.port)

        async def back() -> None:
            while data := await upstream_reader.read(65_536):
                writer.write(data)

        replies = asyncio.create_task(back())
        parser = hiredis.Reader()
        while data := await reader.read(65_536):
            upstream.write(data)
            parser.feed(data)
            while (command := parser.gets()) is not False:
                if command[0] == b"FCALL" and len(command) > 5:
                    heard.put_nowait(command)
        replies.cancel()
        upstream.close()
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as relaying:
        port = relaying.sockets[0].getsockname()[1]
        through = await open_backend(f"redis://127.0.0.1:{port}/0", StoreSettings())
        commit_id = await update(through, key)
        call = await heard.get()
        await through.close()
    await backend.delete(key)
    return call, commit_id


# redis-benchmark takes its arguments from the command line, where no NUL can stand, and the packed head of a commit is
# full of them. So the same library is loaded once more, its names changed, with one function more: it puts the head
# together from its two constant parts and the commit id, which redis-benchmark makes a different one for every call, and
# calls the very `commit` that the backend calls. The call has the same number of arguments of the same lengths.
_TAG: Final = "BNCH"


def _library(call: Sequence[bytes], commit_id: bytes) -> str:
    before, _, after = call[4].partition(commit_id)
    code = SERVER.code.replace(SERVER.name, "holdfast_bench").replace(f"'h{SERVER.tag}'", f"'h{_TAG}'")
    return (
        code
        + f"""
redis.register_function{{function_name = 'h{_TAG}bench', callback = function(keys, args)
  args[1] = {_lua(before)} .. string.sub(args[1], 1, 16) .. {_lua(after)}
  return commit(keys, args)
end, flags = {{}}}}
"""
    )


def _lua(data: bytes) -> str:
    return "'" + "".join(f"\\{byte:03d}" for byte in data) + "'"


def _benchmark_call(call: Sequence[bytes]) -> list[str]:
    head = "__rand_int__" + "abcd".ljust(len(call[4]) - 12, ".")
    return ["FCALL", f"h{_TAG}bench", "1", call[3].decode(), head, *[arg.decode("ascii") for arg in call[5:]]]
