"""Opening a store: one clear error for each way in which it can fail, saying what to do, without the password."""

from __future__ import annotations

import asyncio
import builtins
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast import open_store
from holdfast.errors import ConfigError, HoldfastError, MissingExtra, ServerUnsuitable, StoreUnavailable, UnknownScheme
from holdfast.testing.places import free_port
from store_nodes import needs_redis_server


@pytest.mark.parametrize("url", ["mysql://x", "", "redis", "/tmp/x.db", "http://x", "postgres:", " memory:", "file:x"])
def test_an_unknown_scheme_is_named_with_the_known_ones(url: str) -> None:
    with pytest.raises(UnknownScheme, match=r"memory:.*sqlite:.*redis:"):
        open_store(url)


@pytest.mark.parametrize("url", [None, 5, b"memory:", ["memory:"]])
def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_an_error_never_shows_the_password() -> None:
    with pytest.raises(UnknownScheme) as caught:
        open_store("mongodb://me:s3cret@host/0")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "memory:somewhere",
        "sqlite:",
        "sqlite:x.db",
        "sqlite://x.db",
        "sqlite:///",
        "sqlite:///x.db?sync=off",
        "sqlite:///x.db?synchronous=off",
    ],
)
async def test_a_url_that_means_nothing_says_what_to_write(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        await open_store(url)
    assert files_in(tmp_path) == []


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("url", ["memory:", "sqlite::memory:", "memory://", "MEMORY:"])
async def test_stores_of_this_process(url: str) -> None:
    async with open_store(url) as store:
        await store.set("s", {"a": 1})
        assert await store.get("s") == {"a": 1}


async def test_a_folder_or_foreign_file_is_no_store(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is not a database, but it is longer than a header would be\n" * 50)
    for path in (str(tmp_path), f"{tmp_path}/text", f"{tmp_path}/missing/x.db"):
        with pytest.raises(HoldfastError) as caught:
            await open_store(f"sqlite:///{path}")
        assert path in str(caught.value)
    assert text.read_text().startswith("this is not")


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A stand-in for a server; yields its port, and leaves no connection behind."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()


async def test_a_server_that_is_not_there_is_named(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=str(port)) as caught:
        await open_store(f"redis://:s3cret@127.0.0.1:{port}/0", timeout=1)
    assert time.monotonic() - started < 2
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_never_answers_ends_by_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        started = time.monotonic()
        with pytest.raises(HoldfastError):
            await open_store(f"redis://127.0.0.1:{port}/0", timeout=0.5)
        assert time.monotonic() - started < 1.5


async def test_a_server_that_speaks_something_else_is_a_typed_error() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(web) as port:
        with pytest.raises(HoldfastError):
            await open_store(f"redis://127.0.0.1:{port}/0", timeout=1)


async def test_an_old_server_is_refused_with_what_to_do() -> None:
    """A stand-in that calls itself 6.0: what is refused is the version, before anything is written."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            for part in data.split(b"*")[1:]:
                words = part.split(b"\r\n")[2::2]
                if words[0].upper() == b"INFO":
                    text = b"redis_version:6.0.20\r\nredis_mode:standalone\r\nmaxmemory_policy:noeviction\r\n"
                    writer.write(b"$%d\r\n%s\r\n" % (len(text), text))
                elif words[0].upper() in (b"FUNCTION", b"FCALL", b"FCALL_RO"):
                    writer.write(b"-ERR unknown command '%s'\r\n" % words[0])
                elif words[0].upper() == b"HELLO":
                    writer.write(
                        b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.0.20\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n"
                        b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
                    )
                else:
                    writer.write(b"+OK\r\n")
            await writer.drain()

    async with serving(old) as port:
        with pytest.raises(ServerUnsuitable, match=r"6\.0.*6\.2"):
            await open_store(f"redis://127.0.0.1:{port}/0", timeout=1)


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("redis", "hiredis")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("holdfast.backends.redis")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("redis", "hiredis"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"holdfast\[redis\]"):
        await open_store("redis://127.0.0.1:1/0")


@pytest.mark.parametrize(
    "url", ["redis://host:port/0", "redis://127.0.0.1:99999/0", "redis:///x", "redis://127.0.0.1/one?x=1"]
)
async def test_a_wrong_redis_url_is_a_config_error(url: str) -> None:
    needs_redis_server()
    with pytest.raises(ConfigError):
        await open_store(url, timeout=1)
