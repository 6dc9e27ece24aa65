"""Text that comes in pieces."""

from __future__ import annotations

from collections.abc import Collection

from holdfast.sensitive.context import REACH
from holdfast.sensitive.finding import detector_of, put
from holdfast.sensitive.segments import next_cut


class StreamMasker:
    """Masks text that comes in pieces of any size, a character or a page.

        masker = StreamMasker(["phone", "email"])
        for piece in pieces:
            send(masker.feed(piece))
        send(masker.flush())

    What is sent, joined, is exactly `mask` of the whole text, wherever the pieces were cut. Held back is only what may still be
    part of a value: to the next word or sign that no value has in it, and never more than 257 characters.
    """

    def __init__(self, looked_for: Collection[str] | None = None) -> None:
        self._detector = detector_of(looked_for)
        self._text = ""
        self._start = 0

    @property
    def held(self) -> int:
        """Characters that are held back now."""
        return len(self._text) - self._start

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        self._text += piece
        return self._through(whole=False)

    def flush(self) -> str:
        """The rest, at the end of a text; the next piece begins another one."""
        rest = self._through(whole=True)
        self._text, self._start = "", 0
        return rest

    def _through(self, *, whole: bool) -> str:
        shown = []
        while self._start < len(self._text):
            end = next_cut(self._text, self._start, whole=whole)
            if end is None:
                break
            shown.append(self._part(end))
            self._start = end
        behind = max(0, self._start - REACH)
        self._text, self._start = self._text[behind:], self._start - behind
        return "".join(shown)

    def _part(self, end: int) -> str:
        spots = self._detector.part(self._text, self._start, end)
        masks = [(spot.start - self._start, spot.end - self._start, self._detector.shown(spot)) for spot in spots]
        return put(self._text[self._start : end], masks)
