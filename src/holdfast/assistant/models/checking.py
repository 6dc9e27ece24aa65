"""What a model sends, checked while it streams: it is text, of bounded length, and ends for a reason."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from holdfast.assistant.contract import Chunk
from holdfast.errors import ModelError

HEAD: Final = 24
"""Characters of an answer that are awaited before anything of it is passed on."""

MOST_CALLS: Final = 32
MOST_ARGUMENT_CHARS: Final = 64 * 1024
"""Of all calls in one answer, as JSON."""


async def checked(chunks: AsyncGenerator[Chunk, None], max_chars: int) -> AsyncGenerator[Chunk, None]:
    """The answer's chunks. The first is held back until it has some length, so that a model that breaks down at once leaves nothing
    behind. Raises `ModelError`."""
    head: Chunk | None = Chunk()
    length = calls = 0
    finish = ""
    async with aclosing(chunks):
        async for chunk in chunks:
            if is_garbled(chunk.text):
                raise ModelError("the model sent characters that are no text", "garbled")
            text = chunk.text[: max_chars - length]
            length += len(text)
            calls += len(chunk.calls)
            check_calls(chunk, calls)
            finish = finish or chunk.finish
            chunk = msgspec.structs.replace(chunk, text=text)
            if head is not None:
                head = _joined(head, chunk)
                if len(head.text) >= HEAD:
                    chunk, head = head, None
                    yield chunk
            else:
                yield chunk
            if length >= max_chars:
                finish = "length"
                break
    if not finish:
        raise ModelError("the model's answer ended without a reason", "cut_off" if length or calls else "empty")
    if head is not None:
        if not head.text.strip() and not head.calls:
            raise ModelError("the model said nothing", "empty")
        yield head


def check_calls(chunk: Chunk, count: int) -> None:
    """Raises `ModelError` for more calls, or larger ones, than any model means."""
    if count > MOST_CALLS:
        raise ModelError(f"the model wants more than {MOST_CALLS} tools called at once", "garbled")
    try:
        size = sum(len(call.name) + len(msgspec.json.encode(call.arguments)) for call in chunk.calls)
    except (TypeError, ValueError, RecursionError):
        raise ModelError("the model's arguments for a tool are no JSON", "garbled") from None
    if size > MOST_ARGUMENT_CHARS:
        raise ModelError(f"the model's arguments for a tool take {size} bytes", "garbled")


def is_garbled(text: str) -> bool:
    """Whether a piece holds what no text has: control characters, lone surrogates, undecodable bytes."""
    return any(
        character == "\ufffd" or (unicodedata.category(character) in ("Cc", "Cs", "Cn") and character not in "\n\r\t")
        for character in text
        if not character.isascii() or character < " " or character == "\x7f"
    )


def _joined(head: Chunk, chunk: Chunk) -> Chunk:
    return Chunk(
        (head.text + chunk.text).lstrip(),
        head.finish or chunk.finish,
        chunk.usage or head.usage,
        (*head.calls, *chunk.calls),
        head.model or chunk.model,
    )
