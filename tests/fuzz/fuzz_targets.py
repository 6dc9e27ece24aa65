"""The targets that read bytes from a store, a wire or a file. Imports stand inside, so that atheris sees code as it is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz_imports  # noqa: F401  # it registers its targets
import fuzz_texts  # noqa: F401
from fuzzing import Run, target

_PLAIN = b"\x10\x00"
_ZSTD = b"\x11\x00"


def _packed(payload: bytes) -> bytes:
    from backports import zstd

    return _ZSTD + zstd.compress(payload, 3)


def _values() -> Iterator[bytes]:
    from datetime import UTC, date, datetime
    from decimal import Decimal
    from uuid import UUID

    from holdfast.sessions.codec import Codec

    codec = Codec()
    for value in (
        {"a": [1, -2, 3.5, None, True, "text", "订单"], "b": {"c": b"bytes"}},
        [datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), Decimal("1.50"), UUID(int=7), {1, 2, "three"}],
        10**40,
        "x" * 5_000,
        [],
    ):
        yield codec.encode(value)


def _messages() -> Iterator[bytes]:
    from holdfast.sessions.codec import Codec
    from holdfast.sessions.message import Citation, Message, MessageCodec, ToolCall

    codec = MessageCodec(Codec())
    yield codec.encode(Message("user", "hello"), "a" * 32)
    yield codec.encode(Message("assistant", "x" * 3_000, created_at=1.5), "turn-1", follows=True)
    yield codec.encode(
        Message(
            "assistant",
            "hi",
            "t",
            2.0,
            (ToolCall("1", "find", {"a": 1}),),
            "",
            (Citation("d.md", "q", page=1),),
            {"m": 1},
        ),
        "00000000-0000-0000-0000-000000000001",
    )


@target(
    *_values(),
    _packed(bytes(5_000_000)),
    _PLAIN + b"\x91" * 3_000,
    words=[_PLAIN, _ZSTD, b"\xc7", b"\xd4\x05", b"\xc8"],
)
def codec_value() -> Run:
    """A state value: what can be read can be written again, and is read as the same."""
    from holdfast.errors import InvalidInput
    from holdfast.sessions.codec import Codec, CodecLimits

    codec = Codec(CodecLimits(decoded_bytes=1_000_000))

    def run(data: bytes) -> None:
        value = codec.decode(data)
        try:
            again = codec.encode(value)
        except InvalidInput:
            return  # what no release writes, as a map's key that is no text
        if (value == value) is True:  # a NaN is not
            assert codec.decode(again) == value
        assert codec.same(again, again)

    return run


@target(*_values(), _packed(bytes(5_000_000)))
def frame_unwrapped() -> Run:
    """The header of every stored value, and what it decompresses to."""
    from holdfast.sessions import frame

    def run(data: bytes) -> None:
        assert len(frame.unwrap(data, max_bytes=100_000)) <= max(100_000, len(data))

    return run


@target(*_messages(), words=[_PLAIN, b"\x97", b"\xc4\x10"])
def message_entry() -> Run:
    """An entry of a session's log."""
    from holdfast.errors import InvalidInput
    from holdfast.sessions.codec import Codec
    from holdfast.sessions.message import MessageCodec

    codec = MessageCodec(Codec())

    def run(data: bytes) -> None:
        for message in codec.decode_all([data, data], "t"):
            assert message.role in ("user", "assistant", "tool", "system") and isinstance(message.content, str)
            try:
                again = codec.decode(codec.encode(message, message.turn_id))
            except InvalidInput:
                continue
            assert (again.role, again.content, again.tool_calls) == (message.role, message.content, message.tool_calls)

    return run


def _pages() -> Iterator[bytes]:
    from holdfast.backends.redis.pages import make_page

    yield make_page(0, [b"entry"] * 3, full=False)[0]
    yield make_page(0, [b"\x10\x00x" * 50] * 60, full=True)[0]
    yield make_page(0, [], full=False)[0]


@target(*_pages(), words=[(1 << 31).to_bytes(4, "little"), (0xFFFFFFFF).to_bytes(4, "little")])
def redis_page() -> Run:
    """A page of packed log entries, in one piece or two."""
    from zlib import crc32

    from holdfast.backends.redis.pages import read_page, read_pages

    def run(data: bytes) -> None:
        entries = read_page(data, 0, "session 's'")
        assert sum(map(len, entries)) <= 16 << 20
        read_pages([0, data[:9], data[9:]], 0, len(entries), "session 's'")

    def with_sums(data: bytes) -> None:
        """The checksum is made right, so that the rest is reached too."""
        run_both(data)
        if len(data) > 21 and data[0] == 0x10:
            body = data[21:]
            head = data[:13] + len(body).to_bytes(4, "little") + crc32(body).to_bytes(4, "little")
            run_both(head + body)

    def run_both(data: bytes) -> None:
        from holdfast.errors import HoldfastError

        try:
            run(data)
        except HoldfastError:
            return

    return with_sums


def _outcomes() -> Iterator[bytes]:
    from holdfast.sessions.codec import Codec
    from holdfast.turns.outcome import kept_bytes

    yield kept_bytes(Codec(), "failed", error="no", attempts=3)
    yield kept_bytes(Codec(), "cancelled")


@target(*_outcomes())
def outcome_bytes() -> Run:
    """What is kept of a finished turn."""
    from holdfast.backends.records import SessionKey, StoredOutcome, Version
    from holdfast.sessions.codec import Codec
    from holdfast.sessions.message import MessageCodec
    from holdfast.turns.outcome import from_stored

    codec = Codec()
    messages = MessageCodec(codec)

    def run(data: bytes) -> None:
        stored = StoredOutcome(data, Version(1, b"v"), 0, [])
        found = from_stored(SessionKey("", "s"), "t", stored, codec, messages, replayed=True)
        assert found.status in ("completed", "failed", "cancelled")
        assert isinstance(found.error, str) and isinstance(found.attempts, int)

    return run


def _chunks() -> Iterator[bytes]:
    from holdfast.sessions.codec import Codec

    yield Codec().encode([(1, "attempt", {"fence": 3, "number": 1}), (2, "token", {"text": "hello"})])
    yield Codec().encode(5)
    yield Codec().encode([(1, "token", None), ("x", "token", {"text": 5}), [1, 2]])


@target(*_chunks())
def event_chunk() -> Run:
    """What is kept of a running turn's events. Those that cannot be read are left out: nothing is raised."""
    from holdfast.backends.records import EventChunks
    from holdfast.sessions.codec import Codec
    from holdfast.turns.events import decoded_events, said

    codec = Codec()

    def run(data: bytes) -> None:
        events = decoded_events(codec, EventChunks(1, 0, [data, data]))
        assert all(
            isinstance(number, int) and isinstance(kind, str) and isinstance(told, dict)
            for number, kind, told in events
        )
        assert isinstance(said(events), str)

    return run


class _Request:
    """As much of a request as reading its body takes."""

    def __init__(self, body: bytes, media: str) -> None:
        self._body = body
        self.headers = {"content-type": media, "content-length": str(len(body))}

    async def stream(self) -> Any:
        yield self._body[:7]
        yield self._body[7:]


@target(
    b"\x00application/json\n{}",
    b'\x01application/json\n{"input": "hello", "metadata": {"a": [1, 2.5, null]}}',
    b'\x02application/json; charset="utf-8"\n{"text": "hi"}',
    b'\x03application/json\n{"value": {"a": 1e308}, "name": "x"}',
    b'\x04application/json\n{"reason": ""}',
    b"\x01text/plain\nhello",
    words=['"input":', '"user":', '"state":', '"value":', "\\ud800", "[" * 200, '{"a":' * 200],
)
def http_body() -> Run:
    """JSON bodies of the HTTP API, and the header that says what they are."""
    from holdfast.server import bodies
    from holdfast.server.problems import Refused

    def run(data: bytes) -> None:
        media, _, body = data[1:].partition(b"\n")
        request: Any = _Request(body, media.decode("latin-1"))
        which = data[:1] or b"\0"
        reads = (
            lambda: bodies.new_session(request, 3_000),
            lambda: bodies.new_turn(request, 3_000, 1_000),
            lambda: bodies.new_reply(request, 3_000, 1_000),
            lambda: bodies.new_signal(request, 3_000),
            lambda: bodies.new_end(request, 3_000),
        )
        try:
            asyncio.run(reads[which[0] % len(reads)]())
        except Refused:
            return

    return run


@target(
    "<xml><FromUserName><![CDATA[u]]></FromUserName><MsgType>text</MsgType><Content>hi &amp; bye</Content></xml>",
    '<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>',
    "<a><b><c><d/></c></b></a>",
    words=["<![CDATA[", "]]>", "&#0;", "&#x110000;", "<!ENTITY", "<?xml version='1.0' encoding='utf-16'?>", "<a>" * 50],
)
def wechat_xml() -> Run:
    """The body that a chat platform posts."""
    from holdfast.server.channels.contract import Malformed
    from holdfast.server.channels.xml_fields import fields_of

    def run(data: bytes) -> None:
        try:
            fields = fields_of(data)
        except Malformed:
            return
        assert all(isinstance(name, str) and isinstance(text, str) for name, text in fields.items())
        assert sum(map(len, fields.values())) <= len(data)

    return run


_KNOWLEDGE = Path(__file__).parents[2] / "src/holdfast/samples/knowledge"


@target(
    "# Title\n\nText with *marks* and [links](http://a.example).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n- item\n",
    "---\ntitle: x\n---\nTitle\n=====\n> quote\n<!-- comment -->",
    "标题\n====\n正文。".encode("gb18030"),
    words=["```", "|---|", "<!--", "](", "**", "\n> ", "\n# ", "\n---\n", "\x0c"],
)
def markdown_document() -> Run:
    """A Markdown document."""
    from holdfast.knowledge.readers.markdown import read_markdown

    return lambda data: _fits(read_markdown("a.md", data), data)


@target(
    "<html><head><title>T</title></head><body><h1>Head</h1><p>Text<br>more</p><table><tr><th>a<td>b</table></body></html>",
    "<!doctype html><meta charset=gbk><ul><li>one<li>two</ul><script>no</script>",
    words=[
        "<table>",
        "<tr>",
        "<td>",
        "</",
        "<!--",
        "<![CDATA[",
        "<!",
        "&#x",
        "<svg>",
        "charset=utf-7",
        "charset=idna",
        "<textarea>",
    ],
)
def html_document() -> Run:
    """An HTML document."""
    from holdfast.knowledge.readers.html import read_html

    return lambda data: _fits(read_html("a.html", data), data)


@target(
    "First line\n\nA paragraph that is wrapped at a width of\nsome sixty characters, and goes on.\n",
    "第一行\n\n内容。".encode("utf-16-le"),
    "第一行\n\n内容。".encode("gb18030"),
    b"\xff\xfe\x00\x00" + "x".encode("utf-32-le"),
)
def plain_document() -> Run:
    """A plain text document, in any encoding."""
    from holdfast.knowledge.readers.plain import read_plain

    return lambda data: _fits(read_plain("a.txt", data), data)


@target(
    (_KNOWLEDGE / "care-guide.pdf").read_bytes()[:4_000],
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj 4 0 obj<</Length 30>>stream\n"
    b"BT /F1 9 Tf (hello) Tj ET\nendstream endobj\ntrailer<</Root 1 0 R>>",
    words=["/Kids[2 0 R]", "/Count 99999999", "stream\n", "/Filter/FlateDecode", "/Encrypt", "%%EOF", "/Type/ObjStm"],
)
def pdf_document() -> Run:
    """A PDF, whose library is not ours: it may only fail in the ways that are documented."""
    from holdfast.knowledge.readers.pdf import read_pdf

    return lambda data: _fits(read_pdf("a.pdf", data), data)


def _fits(extracted: Any, data: bytes) -> None:
    text = extracted.text
    assert isinstance(text, str) and len(text) <= 40 * len(data) + 10_000
    text.encode()  # no half of a surrogate pair, which no index takes
    extracted.title.encode()
    for heading in extracted.headings:
        assert 0 <= heading.start < heading.end <= len(text)
