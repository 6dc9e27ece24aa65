"""P16: masked values appear nowhere, and what was erased is readable nowhere, also in a copy of the files made before.

Users give numbers that nobody else has. Everything that the server says and writes is then searched for them: answers, streams,
logs, metrics, traces, the store's files, and every command that Redis was sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from holdfast import Store, Turn, open_store
from holdfast.assistant.masking import Masker
from holdfast.assistant.speaker import Speaker
from holdfast.assistant.trace import Trace
from holdfast.config import Config
from holdfast.encryption import Encryption, KeyRing
from holdfast.errors import Erased
from holdfast.privacy.erasing import erase_user
from holdfast.server.app import create_app, node_of
from holdfast.testing.servers import RedisServer
from store_nodes import Figures, eventually, needs_redis_server

FIELDS: Final = {"phone": "phone", "id_card": "id_card", "card": "bank_card", "email": "email", "secret": "text"}
FOUND: Final = re.compile(
    rb"1390042\d{4}|139[ -]0042[ -]?\d{4}|110101199003\d{5}[\dXx]|62220042\d{10,11}|canary\d+@example|canary-\d{5}"
)
"""Any canary, however it is written."""
PIECES: Final = 16


class Canary(NamedTuple):
    """What one user gives away."""

    user: str
    phone: str
    id_card: str
    card: str
    email: str
    secret: str


def _canary(number: int) -> Canary:
    day = f"110101199003{number % 28 + 1:02}{number % 1000:03}"
    check = "10X98765432"[sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(day)) % 11]
    body = f"62220042{number:010}"
    digits = [int(digit) for digit in body][::-1]
    total = sum(sum(divmod(digit * 2, 10)) if at % 2 == 0 else digit for at, digit in enumerate(digits))
    card = f"{body}{-total % 10}"
    phone = f"1390042{number:04}"
    return Canary(f"user-{number}", phone, f"{day}{check}", card, f"canary{number}@example.com", f"canary-{number:05}")


def _sentences(canary: Canary) -> list[str]:
    phone = canary.phone
    return [
        f"我的手机号是{phone}",
        f"call me at {phone[:3]} {phone[3:7]} {phone[7:]} please",
        f"身份证 {canary.id_card}，谢谢",
        f"my card is {canary.card}",
        f"write to {canary.email}",
        "where is my order?",
    ]


class Keeper:
    """Keeps, journals, notes, streams and repeats whatever its users give away; raises now and then."""

    model = None
    knowledge = None

    def __init__(self, config: Config) -> None:
        self.masker = Masker.of(config)
        self._config = config

    async def __call__(self, turn: Turn) -> None:
        canary = _canary(int(turn.session.user.removeprefix("user-")))
        turn.state.update({name: getattr(canary, name) for name in FIELDS})
        trace = Trace(self._config.trace, self.masker, turn)
        found = await turn.step("look up", lambda: {"said": turn.text, **canary._asdict()})
        trace.note("tool", name="look_up", arguments={"said": turn.text}, result=found)
        turn.emit("status", stage="answer")
        if turn.attempt == 1 and turn.id.endswith("7"):
            raise RuntimeError(f"no answer to {turn.text} of {canary.phone}")
        speaker = Speaker(turn, self.masker)
        for at in range(0, len(turn.text), PIECES):
            speaker.stream(turn.text[at : at + PIECES])
            await asyncio.sleep(0)
        speaker.stream(f" I noted {canary.phone}, {canary.card} and {canary.secret}.")
        speaker.commit()


class Monitor:
    """Every command that a Redis is sent, as MONITOR tells it."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = socket.create_connection((server.host, server.port))
        self._socket.sendall(b"MONITOR\r\n")
        self.seen = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while part := self._socket.recv(1 << 16):
            self.seen += part

    def close(self) -> bytes:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()
        return bytes(self.seen)


def _config() -> Config:
    return Config(
        store="memory:",  # type: ignore[arg-type]
        sensitive=FIELDS,
        trace={"on_page": True},  # type: ignore[arg-type]
    )


@asynccontextmanager
async def _node(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(store, Keeper(_config()), _config())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://holdfast.test", timeout=60
    ) as client:
        yield client
        await node_of(app).desk.drain(5)


async def _talk(client: httpx.AsyncClient, canary: Canary, turns: int, heard: list[bytes]) -> None:
    """One user's conversation, and all that the server says of it."""
    made = await client.post("/v1/sessions", json={"user": canary.user})
    session = made.json()["id"]
    sentences = _sentences(canary)
    for number in range(turns):
        turn = f"{session[:8]}-{number}"
        headers = {"Idempotency-Key": turn}
        if number % 2:
            headers["Accept"] = "text/event-stream"
        for _ in range(2):  # the second is the answer of a turn that had failed, or a replay
            reply = await client.post(
                f"/v1/sessions/{session}/turns", json={"input": sentences[number % len(sentences)]}, headers=headers
            )
            heard.append(reply.content)
        heard.append((await client.get(f"/v1/sessions/{session}/turns/{turn}/trace")).content)
    for path in ("", "/messages?limit=200"):
        reply = await client.get(f"/v1/sessions/{session}{path}")
        heard.append(reply.content + repr(reply.headers).encode())
    heard.append((await client.get("/v1/sessions", params={"user": canary.user})).content)


def _raw(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def _look(where: str, content: bytes) -> None:
    found = FOUND.findall(content)
    assert not found, f"{len(found)} in {where}, first {found[0]!r}"


@pytest.fixture
def crowd(scale: Callable[[int], int]) -> tuple[int, int]:
    """How many users give something away, and how many turns each of them has."""
    users = min(1000, 40 * scale(1))
    return users, 8 if users == 40 else 125


@pytest.mark.parametrize("place", ["sqlite", "redis"])
async def test_canaries_are_nowhere(
    place: str, tmp_path: Path, crowd: tuple[int, int], caplog: pytest.LogCaptureFixture, figures: Figures
) -> None:
    users, turns = crowd
    canaries = [_canary(number) for number in range(users)]
    caplog.set_level(logging.INFO)
    files, vaults, copy = tmp_path / "store", tmp_path / "vault", tmp_path / "copy"
    files.mkdir()
    vaults.mkdir()
    encryption = Encryption(KeyRing({"k": os.urandom(32)}), f"sqlite:///{vaults / 'keys.db'}")
    async with AsyncExitStack() as stack:
        url, monitor, server = f"sqlite:///{files / 's.db'}", None, None
        if place == "redis":
            needs_redis_server()
            server = stack.enter_context(RedisServer({"appendonly": "yes", "save": "3600 1", "rdbcompression": "no"}))
            files, url, monitor = Path(server.folder), server.url, Monitor(server)
        store = await stack.enter_async_context(open_store(url, encryption=encryption, ttl="1d"))
        heard: list[bytes] = []
        async with _node(store) as client:
            dice = random.Random(1)
            for start in range(0, users, 50):
                batch = canaries[start : start + 50]
                await asyncio.gather(*[_talk(client, one, turns, heard) for one in dice.sample(batch, len(batch))])
            metrics = (await client.get("/metrics")).content
        await asyncio.sleep(0.2)  # traces are written beside
        if server is not None:
            server.command("SAVE")
        shutil.copytree(files, copy)
        assert monitor is None or len(monitor.seen) > 10_000
        _look("answers and streams", b"\n".join(heard))
        _look("metrics", metrics)
        _look("the log", "\n".join(record.getMessage() + str(record.exc_text) for record in caplog.records).encode())
        _look("the store's files", _raw(files))
        _look("the vault's files", _raw(vaults))
        if monitor is not None:
            _look("what Redis was sent", monitor.close())
        kept = await store.get((await store.by_user(canaries[0].user)).ids[0])
        assert kept["phone"] == canaries[0].phone  # it was there all the time
        # --- and now forgotten ---
        gone = canaries[:2]
        for one in gone:
            done = await erase_user(store, one.user)
            assert (done.sessions, done.key_destroyed, done.left) == (1, True, [])
        await _nothing_to_read(store, gone)
        _look("the files after the erasure", _raw(files) + _raw(vaults))
    await _copy_is_dead(place, copy, encryption, gone, canaries[-1])
    figures("P16", place, canaries=users * len(FIELDS), turns=users * turns, found=0, erased=len(gone), readable=0)


async def _nothing_to_read(store: Store, gone: list[Canary]) -> None:
    for one in gone:
        assert (await store.by_user(one.user)).ids == []


async def _copy_is_dead(place: str, copy: Path, encryption: Encryption, gone: list[Canary], kept: Canary) -> None:
    """The copy of before the erasure, with the keys of now: others are there, the erased cannot be read."""
    async with AsyncExitStack() as stack:
        url, server = f"sqlite:///{copy / 's.db'}", RedisServer()
        if place == "redis":
            server = RedisServer({"appendonly": "yes", "dir": str(copy)})
            url = stack.enter_context(server).url
        await eventually(lambda: place != "redis" or server.info("persistence")["loading"] == "0")
        restored = await stack.enter_async_context(open_store(url, encryption=encryption))
        (alive,) = (await restored.by_user(kept.user)).ids
        assert (await restored.get(alive))["secret"] == kept.secret
        for one in gone:
            (session,) = (await restored.by_user(one.user)).ids
            reads: list[Callable[[str], Any]] = [restored.get, restored.load, restored.read_log]
            for read in reads:
                with pytest.raises(Erased):
                    await read(session)


async def test_the_search_finds_what_rests_in_clear(tmp_path: Path) -> None:
    """Without encryption and masking, the same search finds them: it is no blind one."""
    canary = _canary(7)
    async with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        await store.set("s", {"all": list(canary)})
        assert len(set(FOUND.findall(_raw(tmp_path)))) >= len(FIELDS)
    for text in _sentences(canary)[:-1]:
        assert FOUND.search(text.encode()), text
        assert not FOUND.search(Masker(dict.fromkeys(FIELDS, "phone") | FIELDS).text(text, {}).encode()), text
