"""The contract's part about names: any text is an id, and none reaches another's data."""

from __future__ import annotations

from typing import Final

from holdfast.backends.contract import Backend
from holdfast.backends.records import Birth, Committed, Mismatch, Queued, SessionKey, StoredOutcome
from holdfast.testing.calls import (
    KEY,
    begin,
    finish,
    got,
    granted,
    missing,
    of_user,
    put,
    record_of,
    run_turn,
    scanned,
    update,
    values,
)
from holdfast.testing.contract_base import ContractBase

HOSTILE: Final[tuple[str, ...]] = (
    "a",
    "A",
    "a ",
    " a",
    "a\x00",
    "a\x00b",
    "\x00",
    "a\nb",
    "a\r\nb",
    "\t",
    " ",
    "}{",
    "{",
    "}",
    "{}",
    "{0}",
    "{p}",
    ":",
    "a:b",
    "::",
    "/",
    "a/b",
    "../a",
    "a//b",
    ".",
    "..",
    "%",
    "%00",
    "%s",
    "%2F",
    "a%3Ab",
    "*",
    "?",
    "[a-z]",
    "a*",
    "a?",
    "\\",
    "\\*",
    "'",
    "''",
    '"',
    "' OR 1=1 --",
    "; DROP TABLE sessions",
    "+a",
    "=a",
    "#a",
    "-a",
    "@a",
    "~a",
    "$a",
    "&a",
    "|",
    ",",
    "a,b",
    "0",
    "00",
    "1",
    "1.0",
    "-1",
    "1e3",
    "nil",
    "null",
    "None",
    "true",
    "inc",
    "user",
    "version",
    "v",
    "head",
    "meta",
    "_",
    "__proto__",
    "hf:0:s:a",
    "i",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "İ",
    "中文",
    "😀",
    "👩‍👩‍👧‍👦",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "\x7f",
    "\x80",
    "\xff",
    "x" * 256,
    "x" * 255,
    "/" * 256,
    "😀" * 256,
    "\x00" * 256,
)
"""Ids that break naive key building, patterns, quoting, collation or normalisation."""

SEPARATORS: Final = ("", ":", "/", "\x00", "|", "-", ".", "%", "}{", "\n")


class IdContract(ContractBase):
    """Hostile text in each place where a caller's name goes."""

    async def test_any_text_is_a_session_id(self, backend: Backend) -> None:
        keys = [SessionKey("acme", text) for text in HOSTILE]
        for key in keys:
            await put(backend, {"me": key.id.encode()}, key, appends=[key.id.encode()])
        for key in keys:
            record = await record_of(backend, key)
            assert (values(record), record.tail) == ({"me": key.id.encode()}, [key.id.encode()])
        assert sorted(set(await scanned(backend, limit=7))) == sorted(HOSTILE)
        for key in keys[::2]:
            assert await backend.delete(key) is True
        for n, key in enumerate(keys):
            assert await missing(backend, key) == (n % 2 == 0)
        assert sorted(set(await scanned(backend, limit=7))) == sorted(HOSTILE[1::2])

    async def test_any_text_is_a_tenant(self, backend: Backend) -> None:
        for text in ("", *HOSTILE):
            await put(backend, {"me": text.encode()}, SessionKey(text, "s"), birth=Birth("ann"))
        for text in ("", *HOSTILE):
            assert values(await record_of(backend, SessionKey(text, "s"))) == {"me": text.encode()}
            assert await scanned(backend, text) == ["s"]
            assert await of_user(backend, "ann", text) == ["s"]
        await backend.delete(SessionKey("", "s"))
        assert await scanned(backend, "") == []
        assert await scanned(backend, HOSTILE[0]) == ["s"]

    async def test_tenant_and_id_do_not_run_into_each_other(self, backend: Backend) -> None:
        keys = {SessionKey("a", f"b{mark}c") for mark in SEPARATORS}
        keys |= {SessionKey(f"a{mark}b", "c") for mark in SEPARATORS}
        keys |= {SessionKey("", f"a{mark}b{mark}c") for mark in SEPARATORS}
        keys |= {SessionKey(f"a{mark}", "bc") for mark in SEPARATORS} | {
            SessionKey("a", f"{mark}bc") for mark in SEPARATORS
        }
        for key in keys:
            await put(backend, {"me": repr(key).encode()}, key, birth=Birth(f"u{key.id}"))
        for key in keys:
            assert values(await record_of(backend, key)) == {"me": repr(key).encode()}
            assert await of_user(backend, f"u{key.id}", key.tenant) == [key.id]

    async def test_any_text_is_a_user(self, backend: Backend) -> None:
        for n, user in enumerate(HOSTILE):
            await put(backend, {"a": b"1"}, SessionKey("acme", f"s-{n}"), birth=Birth(user))
        for n, user in enumerate(HOSTILE):
            assert await of_user(backend, user) == [f"s-{n}"]
            assert (await record_of(backend, SessionKey("acme", f"s-{n}"))).user == user

    async def test_any_text_is_a_field_name(self, backend: Backend) -> None:
        fields = {name: name.encode() for name in HOSTILE}
        await put(backend, fields)
        assert values(await record_of(backend)) == fields
        await put(backend, dict.fromkeys(HOSTILE[::2]))
        await put(backend, dict.fromkeys(HOSTILE[1::4], b"new"), counter=1)
        expected = {**{name: fields[name] for name in HOSTILE[1::2]}, **dict.fromkeys(HOSTILE[1::4], b"new")}
        assert values(await record_of(backend)) == expected

    async def test_any_text_is_a_turn_id(self, backend: Backend) -> None:
        for n, turn_id in enumerate(HOSTILE):
            key = SessionKey("acme", f"s-{n}")
            grant = await granted(backend, turn_id, key)
            done = await finish(backend, turn_id, grant, None, key, outcome=turn_id.encode())
            stored = got(await backend.resolve(key, turn_id, fence=grant.fence), StoredOutcome)
            assert (stored.outcome, stored.version) == (turn_id.encode(), done.version)

    async def test_pending_turns_with_any_ids_stay_apart(self, backend: Backend) -> None:
        first = await granted(backend, "first", handler="handler")
        for n, turn_id in enumerate(HOSTILE):
            reply = await begin(backend, turn_id, text=b"%d" % n, handler=turn_id)
            assert got(reply, Queued).ahead == n + 1
        for turn_id in HOSTILE:
            assert await begin(backend, turn_id, text=b"other") == Mismatch()
        await finish(backend, "first", first)
        for n, turn_id in enumerate(HOSTILE):
            grant = await granted(backend, turn_id, text=b"%d" % n)
            assert (grant.attempt, grant.steps) == (1, [])
            await backend.record(KEY, turn_id, fence=grant.fence, name="s", value=turn_id.encode(), lease_ms=60_000)
            await finish(backend, turn_id, grant, appends=[])
        assert (await record_of(backend)).tail[2:] == [b"%d" % n for n in range(len(HOSTILE))]

    async def test_any_text_is_a_step_name(self, backend: Backend) -> None:
        token = b"\x00\n}{:\xff% "
        grant = await granted(backend, "t1", token=token)
        for name in HOSTILE:
            await backend.record(KEY, "t1", fence=grant.fence, name=name, value=name.encode(), lease_ms=60_000)
        again = await granted(backend, "t1", token=token)
        assert again.fence == grant.fence
        assert again.steps == [(name, name.encode()) for name in HOSTILE]

    async def test_any_text_is_the_name_of_a_signal(self, backend: Backend) -> None:
        for name in HOSTILE:
            grant = await granted(backend, name)
            assert await backend.park(KEY, name, fence=grant.fence, name=name, for_ms=600_000) is None
        for name in HOSTILE[::2]:
            assert await backend.signal(KEY, name, name.encode()) == (name,)
        for name in HOSTILE[1::2]:
            assert await backend.signal(KEY, "stop", name.encode(), turn_id=name) == (name,)
        for n, name in enumerate(HOSTILE):
            grant = await granted(backend, name)
            assert grant.steps == [("stop" if n % 2 else name, name.encode())]
            await finish(backend, name, grant)

    async def test_events_are_kept_under_any_names(self, backend: Backend) -> None:
        grants = [
            (text, SessionKey(text, text), await granted(backend, text, SessionKey(text, text))) for text in HOSTILE
        ]
        for text, key, grant in grants:
            await backend.append_events(key, text, fence=grant.fence, chunk=text.encode(), keep_ms=600_000)
        for text, key, _ in grants:
            assert (await backend.read_events(key, text)).chunks == [text.encode()]
            assert (await backend.read_events(key, text + "x")).chunks == []

    async def test_turn_and_step_names_do_not_run_into_each_other(self, backend: Backend) -> None:
        for mark in SEPARATORS:
            key = SessionKey("acme", f"s{mark}")
            first = await granted(backend, f"a{mark}", key, token=b"firstone")
            await backend.record(key, f"a{mark}", fence=first.fence, name="b", value=b"1", lease_ms=60_000)
            await backend.release(key, f"a{mark}", token=b"firstone", withdraw=False)
            assert (await granted(backend, f"a{mark}b", key, token=b"otherone")).steps == []
            await backend.release(key, f"a{mark}b", token=b"otherone", withdraw=True)
            assert (await granted(backend, f"a{mark}", key)).steps == [("b", b"1")]

    async def test_overdue_turns_come_back_with_their_names(self, backend: Backend) -> None:
        for text in HOSTILE:
            await granted(backend, text, SessionKey(text, text), token=b"token\x00\n}", handler=text)
            await backend.release(SessionKey(text, text), text, token=b"token\x00\n}", withdraw=False)
        found = await backend.overdue(limit=1000)
        expected = sorted((SessionKey(text, text), text, text) for text in HOSTILE)
        assert sorted((turn.key, turn.turn_id, turn.handler) for turn in found) == expected

    async def test_any_bytes_are_a_commit_id(self, backend: Backend) -> None:
        ids = [b"\x00" * 16, b"\xff" * 16, b"}{:/%*?\x00\r\n\t '\"\\+", b"0" * 16, b"t" * 16]
        for n, commit_id in enumerate(ids):
            key = SessionKey("acme", f"s-{n}")
            done = got(await backend.commit(key, update({"a": b"1"}, commit_id=commit_id)), Committed)
            assert (await record_of(backend, key)).version == done.version == (1, commit_id)
            assert got(await backend.resolve(key, commit_id), StoredOutcome).version == done.version

    async def test_a_turn_id_is_not_taken_for_a_commit_id(self, backend: Backend) -> None:
        text = "t" * 16
        await run_turn(backend, text)
        got(await backend.commit(KEY, update({"a": b"1"}, commit_id=text.encode())), Committed)
        turn = got(await backend.resolve(KEY, text, fence=1), StoredOutcome)
        other = got(await backend.resolve(KEY, text.encode()), StoredOutcome)
        assert (turn.version.counter, other.version.counter) == (1, 2)
