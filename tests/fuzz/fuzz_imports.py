"""The targets that read what another program, or another Holdfast, has written."""

from __future__ import annotations

import asyncio
import io
import tempfile
from contextlib import suppress
from pathlib import Path

from fuzzing import Run, target


@target(
    '{"kind":"header","format":"holdfast-export","version":1}\n'
    '{"kind":"session","id":"s","user":"","state":{"a":{"$":"date","v":"2026-01-02"}},"messages":1,"expires":null}\n'
    '{"kind":"messages","id":"s","start":0,"messages":[{"role":"user","content":"hi","created_at":1}]}\n'
    '{"kind":"end","id":"s","messages":1}\n{"kind":"trailer","sessions":1}\n',
    words=[
        '{"$":"set","v":[',
        '{"$":"bytes","v":"',
        '{"$":"decimal","v":"1e999999999"}',
        '"kind":"end"',
        "\n",
        '"ttl_s":',
        "9" * 30,
    ],
)
def export_file() -> Run:
    """An export, as ``holdfast sessions import`` reads it."""
    from holdfast import open_store
    from holdfast.cli.reading import Damaged, ExportReader

    store = asyncio.run(open_store("memory:")._open())

    def run(data: bytes) -> None:
        reader = ExportReader(io.BytesIO(data), store)
        for found in reader.sessions():
            if not isinstance(found, Damaged):
                assert found.head.id and sum(len(part) for part in reader.parts(found, 0)) == found.head.messages

    return run


@target(
    '{"data":[{"paragraphs":[{"context":"abc","qas":[{"question":"q","answers":[{"answer_start":0,"text":"a"}]}]}]}]}',
    words=['"answers":', "null", "[" * 300, '{"a":' * 300, "1e400"],
)
def question_set() -> Run:
    """A question set in SQuAD's format."""
    from holdfast.knowledge.eval import load

    file = Path(tempfile.mkdtemp(prefix="holdfast-fuzz-")) / "questions.json"

    def run(data: bytes) -> None:
        file.write_bytes(data)
        found = load(file)
        assert found.questions

    return run


@target(
    '{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}],"tool_calls":[{"id":"1","function":{"name":"f",'
    '"arguments":"{}"}}],"timestamp":"2026-01-02T03:04:05Z"}],"user":"u","a":{"b":1}}',
    '[{"type":"human","data":{"content":"hi"}},{"role":"assistant","content":null}]',
    b"\x80\x04\x95pickle",
    words=[
        '"role":',
        '"content":',
        '"tool_calls":',
        '"arguments":"[',
        "null",
        "[" * 300,
        '{"a":' * 300,
        "1e999",
        "9" * 400,
    ],
)
def moved_session() -> Run:
    """A session of another program's layout in Redis, as ``holdfast store move-in`` reads it."""
    from holdfast.cli.moving_mapping import Identity, load_mapping
    from holdfast.cli.moving_messages import moved
    from holdfast.errors import HoldfastError
    from holdfast.sessions.codec import Codec
    from holdfast.sessions.message import MessageCodec

    mapping = load_mapping(None, "json", "chat:*")
    codec = Codec()
    messages = MessageCodec(codec)

    def run(data: bytes) -> None:
        for value in (data, [data, data]):
            with suppress(HoldfastError):
                found = moved(mapping, Identity("s", "", ""), value, {})
                codec.encode(found.state)
                for message in found.messages:
                    messages.encode(message)
        mapping.identity_of(data)

    return run


@target(
    'form = "json"\nttl = "keep"\n[key]\nregex = "chat:(?P<id>.+)"\n',
    words=["[messages]\n", "[state]\n", "(?P<id>", "(" * 50, "[" * 900, "9" * 400, "(a+)+$"],
)
def mapping_file() -> Run:
    """A file that says how another program's sessions are laid out."""
    from holdfast.cli.moving_mapping import load_mapping

    file = Path(tempfile.mkdtemp(prefix="holdfast-fuzz-")) / "mapping.toml"

    def run(data: bytes) -> None:
        file.write_bytes(data)
        load_mapping(file, "json", "chat:*")

    return run
