"""A failed dialogue in words."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.testing.dialogues.seen import Failure, Result


def told(result: Result) -> str:
    """The dialogue so far, then what was expected and what came, with file and line."""
    lines = [f"{result.file}:{result.line}: {result.name}"]
    for who, text in result.said:
        mark = "> " if who == "user" else "  "
        lines += [f"    {mark}{line}" for line in text.splitlines() or [""]]
    for failure in result.failures:
        lines += ["", *_failure(result.file, failure)]
    return "\n".join(lines)


def _failure(file: str, failure: Failure) -> Iterator[str]:
    yield f"  {file}:{failure.line}: {failure.key or 'turn'}"
    yield from _field("expected", failure.expected)
    yield from _field("came", failure.came)
    if failure.nearest:
        yield from _field("nearest", failure.nearest)


def _field(name: str, text: str) -> Iterator[str]:
    first, *rest = text.splitlines() or [""]
    yield f"    {name:<9} {first}"
    yield from (f"    {'':<9} {line}" for line in rest)
