"""What a turn did and why: noted while it runs, for whoever has to find out later.

Kinds, and their data as far as it is known:

* ``understanding``: language, signals, flow, intent, confidence, ranked, entities, reference
* ``decision``: policy (the one that answered)
* ``flow``: flow, step, and whatever the step says of itself
* ``search``: question, earlier, relevant, passages ([{document, page, score}])
* ``tool``: name, arguments, result, ms, error
* ``prompt``: model, prompts ([{role, content}]), text, tools (names that it could call), ms
* ``model``: why, model, prompt_tokens, completion_tokens, estimated, finish, failed
* ``handover``: reason
* ``stage``: name, ms (how long a part of the turn took)

Other kinds are kept and shown as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from holdfast.assistant.masking import Known, Masker
    from holdfast.config.trace import TraceSection
    from holdfast.turns.turn import Turn

MOST_ENTRIES: Final = 200
"""Notes of one turn; further ones are counted only."""

_PIECE: Final = 4_000
"""Characters of one text; of what is too long for the whole, the texts become shorter and shorter."""
_SHORTEST: Final = 120
_MOST_ITEMS: Final = 100
_DEPTH: Final = 8

_size: Final = msgspec.msgpack.Encoder(enc_hook=str).encode


class Entry(msgspec.Struct, frozen=True):
    """One note. ``at``: milliseconds since the turn's attempt began."""

    kind: str
    at: float
    data: dict[str, Any]


class Trace:
    """The notes of one attempt of a turn, in order. Where nobody wants them (``settings`` None), only those in memory."""

    def __init__(
        self, settings: TraceSection | None = None, masker: Masker | None = None, turn: Turn | None = None
    ) -> None:
        self._started = time.perf_counter()
        self._since = time.time()
        self._settings = settings
        self._masker = masker
        self._turn = turn
        self.entries: list[Entry] = []
        self.left_out = 0
        if turn is not None and settings is not None and settings.enabled:
            turn.trace = self

    @property
    def keep(self) -> float:
        """For how many seconds the store keeps it."""
        return self._settings.keep if self._settings is not None else 0.0

    def note(self, kind: str, **data: Any) -> None:
        """Adds a note; ``data`` is of JSON's types, or becomes text. It is masked before it is kept."""
        if len(self.entries) >= MOST_ENTRIES:
            self.left_out += 1
            return
        self.entries.append(Entry(kind, self._now(), data))

    def document(self, error: str) -> dict[str, Any]:
        """See `holdfast.turns.traces.Traced`: sensitive values masked, within ``max_bytes``."""
        most = self._settings.max_bytes if self._settings is not None else 0
        known: Known = ()
        if self._masker is not None and self._turn is not None:
            known = self._masker.known(self._turn.state, self._turn.text)
        head = {"since": round(self._since, 3), "ms": self._now(), "error": self._masked(error, known)}
        notes = [{"kind": one.kind, "at": one.at, "data": self._shown(one.data, known)} for one in self.entries]
        left_out, piece = self.left_out, _PIECE
        sizes = [len(_size(note)) for note in notes]
        while sum(sizes) > most and piece > _SHORTEST:
            piece //= 4
            notes = [note | {"data": _plain(note["data"], piece)} for note in notes]
            sizes = [len(_size(note)) for note in notes]
        while notes and sum(sizes) > most:
            left_out += 1
            notes.pop()
            sizes.pop()
        return head | {"entries": notes, "left_out": left_out}

    def _shown(self, data: Mapping[str, Any], known: Known) -> Any:
        """Masked before it is cut, so that no cut leaves half a number that nothing recognises."""
        return _plain(self._masked(_plain(data, 4 * _PIECE), known), _PIECE)

    def _masked(self, value: Any, known: Known) -> Any:
        return value if self._masker is None else self._masker.with_known(value, known)

    def _now(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 3)


def _plain(value: Any, piece: int, depth: int = _DEPTH) -> Any:
    """Of JSON's types, bounded: long texts and lists are cut, and say so."""
    if isinstance(value, str):
        return value if len(value) <= piece else f"{value[:piece]}… (+{len(value) - piece})"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return "…"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        kept = list(value.items())[:_MOST_ITEMS]
        return {str(name): _plain(item, piece, depth - 1) for name, item in kept}
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        shown = [_plain(item, piece, depth - 1) for item in items[:_MOST_ITEMS]]
        return shown if len(items) <= _MOST_ITEMS else [*shown, f"… (+{len(items) - _MOST_ITEMS})"]
    return _plain(str(value), piece, depth - 1)
