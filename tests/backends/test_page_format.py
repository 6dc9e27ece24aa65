"""The bytes of a page: what goes in comes out, and damage never comes out as something else."""

from __future__ import annotations

import os
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backends.redis.pages import PAGE_BYTES, make_page, pieces_of, read_page, read_pages
from holdfast.errors import CorruptRecord, FutureFormat, UnreadableRecord

ENTRIES = [b"what does it cost? " * n for n in range(1, 20)]


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=60), st.integers(0, 2**40), st.booleans())
def test_what_goes_in_comes_out(entries: list[bytes], first: int, full: bool) -> None:
    page, size = make_page(first, entries, full=full)
    assert read_page(page, first, "") == entries
    assert size == sum(map(len, entries))
    assert b"".join(pieces_of(page)) == page


def test_text_gets_smaller_and_what_does_not_lies_plain() -> None:
    assert len(make_page(0, ENTRIES, full=False)[0]) < sum(map(len, ENTRIES)) / 10
    noise = [os.urandom(500)]
    assert len(make_page(0, noise, full=True)[0]) < 500 + 40
    huge = [b"x" * (17 << 20)]  # above what is decompressed again
    page, _ = make_page(0, huge, full=True)
    assert len(page) > 17 << 20 and read_page(page, 0, "") == huge


def test_pieces_fill_what_the_allocator_gives() -> None:
    lost = whole = 0
    for size in range(2100, PAGE_BYTES, 97):
        pieces = pieces_of(bytes(size))
        assert len(pieces) <= 2
        lost += sum(allocated(len(piece) + 6) for piece in pieces) - size
        whole += allocated(size + 6) - size
    assert lost < whole / 3


def allocated(size: int) -> int:
    step = max(16, 1 << max(0, (size - 1).bit_length() - 3))
    return -(-size // step) * step


@pytest.mark.parametrize("entries", [ENTRIES, [os.urandom(300)]])
def test_every_damage_is_noticed(entries: list[bytes]) -> None:
    page, _ = make_page(7, entries, full=True)
    noticed = 0
    for at in range(len(page)):
        damaged = bytearray(page)
        damaged[at] ^= 1 << random.Random(at).randrange(8)
        try:
            assert read_page(bytes(damaged), 7, "session 's'") == entries  # zstd has bits that mean nothing
        except UnreadableRecord:
            noticed += 1
    assert noticed > len(page) * 0.9
    for length in range(len(page)):
        with pytest.raises(CorruptRecord):
            read_page(page[:length], 7, "session 's'")
    with pytest.raises(CorruptRecord):
        read_page(page + b"x", 7, "session 's'")
    with pytest.raises(CorruptRecord, match="session 's'"):
        read_page(page, 8, "session 's'")


def test_a_bomb_is_refused_before_it_grows() -> None:
    bomb, _ = make_page(0, [bytes(15 << 20)], full=True)
    honest = struct.unpack_from("<BQIII", bomb)
    for size in (1000, 2**32 - 1):
        head = struct.pack("<BQIII", *honest[:3], size, honest[4])
        with pytest.raises(CorruptRecord):
            read_page(head + bomb[21:], 0, "")


def test_a_page_of_a_newer_release_says_so() -> None:
    page, _ = make_page(0, ENTRIES, full=True)
    for first in (0x21, 0x12):
        with pytest.raises(FutureFormat, match="upgrade"):
            read_page(bytes([first]) + page[1:], 0, "")


def test_pages_have_to_cover_what_is_asked_for() -> None:
    def found(*parts: tuple[int, int]) -> list[object]:
        flat: list[object] = []
        for first, count in parts:
            page, _ = make_page(first, [b"%d" % n for n in range(first, first + count)], full=True)
            flat += [first, page[:9], page[9:]]
        return flat

    assert read_pages(found((4, 4), (8, 3)), 5, 10, "") == [b"5", b"6", b"7", b"8", b"9"]
    for parts in ([(4, 4), (9, 3)], [(4, 4)], [(6, 6)], [(4, 5), (8, 3)], []):
        with pytest.raises(CorruptRecord):
            read_pages(found(*parts), 5, 10, "")
