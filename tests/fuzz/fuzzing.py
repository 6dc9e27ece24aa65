"""What a fuzz target is, and how one is run on an input.

A target feeds bytes to one public parser. It fails where anything but the documented errors escapes, where a result does not hold
together, or where an input takes long. `fuzz_one` drives one with atheris, `test_fuzzing` with small mutations of its seeds.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 4_096
"""Bytes of an input; the same as libFuzzer's."""
SLOW_S: Final = 3.0
"""Seconds of CPU for one input, far above what the slowest needs under coverage."""

Run = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A parser under test. ``prepare`` imports it and says how it is called; ``words``: what a mutation likes to put in."""

    name: str
    prepare: Callable[[], Run]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


TARGETS: Final[dict[str, Target]] = {}


def target(*seeds: bytes | str, words: Sequence[bytes | str] = ()) -> Callable[[Callable[[], Run]], Callable[[], Run]]:
    """Registers a function that prepares a target, under its name."""

    def register(prepare: Callable[[], Run]) -> Callable[[], Run]:
        name = prepare.__name__
        TARGETS[name] = Target(name, prepare, tuple(map(_bytes, seeds)), tuple(map(_bytes, words)))
        return prepare

    return register


def _bytes(given: bytes | str) -> bytes:
    return given if isinstance(given, bytes) else given.encode()


class Broken(AssertionError):
    """What an input brought about, with the input."""


def checked(name: str, run: Run, data: bytes) -> None:
    """Runs one input. Raises `Broken` for an error that is no documented one, and for slowness."""
    from holdfast.errors import HoldfastError

    started = time.process_time()
    try:
        run(data)
    except HoldfastError:
        pass
    except (Exception, RecursionError) as error:
        raise Broken(f"{name}: {type(error).__name__}: {str(error)[:200]} for {data[:300]!r}") from error
    if (took := time.process_time() - started) > SLOW_S:
        raise Broken(f"{name}: {took:.1f} s for {len(data)} bytes: {data[:300]!r}")


def mutations(target: Target, seed: int) -> Iterator[bytes]:
    """Inputs near the seeds, endless: the seeds as they are, then with bytes changed, parts cut, doubled, mixed and nested."""
    chance = random.Random(f"{seed}/{target.name}")
    yield from target.seeds
    pool = list(target.seeds) or [b""]
    words = [*target.words, *_WORDS]
    while True:
        data = bytearray(chance.choice(pool))
        for _ in range(chance.randint(1, 6)):
            _mutate(data, chance, words, pool)
        yield bytes(data[:LONGEST])


_WORDS: Final = (
    *(bytes([byte]) * count for byte in (0, 0xFF, 0x80, 0x20, 0x5B, 0x7B, 0x28, 0x39) for count in (1, 40, 2_000)),
    *(b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", "\u202e".encode(), "\U0001f600".encode(), b"\r\n", b"\n", b"-1", b"1e999"),
    *(b"NaN", b"null", b"9" * 400),
    *(bytes([kind]) + b"\xff\xff\xff\xff" for kind in (0xC6, 0xC9, 0xDB, 0xDD, 0xDF)),  # MessagePack of a huge length
)  # fmt: skip


def _mutate(data: bytearray, chance: random.Random, words: Sequence[bytes], pool: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 200)))
    match chance.randrange(7):
        case 0:
            data[at:end] = chance.randbytes(end - at)
        case 1:
            del data[at:end]
        case 2:
            data[at:at] = chance.choice(words)
        case 3:
            data[at:end] = chance.choice(words)
        case 4:
            data[at:at] = data[at:end] * chance.choice((1, 2, 30))
        case 5:
            other = chance.choice(pool)
            start = chance.randint(0, len(other))
            data[at:] = other[start:]
        case _:
            if at < len(data):
                data[at] ^= 1 << chance.randrange(8)


def said(found: object) -> str:
    """A line of JSON on standard output, for whoever started the process."""
    return json.dumps(found, separators=(",", ":"))
