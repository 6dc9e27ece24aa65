"""What a backend can tell of itself in numbers: two capabilities that a backend may have beside the contract.

A measure's name has no ``holdfast_`` before it and no ``_total`` behind it: both, and a label ``backend``, are put there on export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, Protocol, runtime_checkable

Kind = Literal["gauge", "counter"]
"""What goes up and down, or what only rises (from 0 at the start of this process or of the server)."""


class Measure(NamedTuple):
    """One number of now. Measures of one name have one kind, one help and the same label names."""

    name: str
    kind: Kind
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    help: str = ""


@runtime_checkable
class Measured(Protocol):
    """A backend that knows figures of its own side: connections, queues, files."""

    def measures(self) -> Iterable[Measure]:
        """Figures of this process. Cheap, without waiting and without calls to a server; may be asked for by any thread."""
        ...


@runtime_checkable
class ServerMeasured(Protocol):
    """A backend whose server knows figures: memory, replicas."""

    async def server_measures(self) -> list[Measure]:
        """Figures of the server, in a round trip or two, by the backend's deadline. Raises `StoreError`."""
        ...


def measured(backend: object) -> Measured | None:
    """The backend that has local figures: this one, or one that it wraps; None where none does."""
    return next((one for one in layers(backend) if isinstance(one, Measured)), None)


def server_measured(backend: object) -> ServerMeasured | None:
    """The backend that can ask its server for figures: this one, or one that it wraps; None where none can."""
    return next((one for one in layers(backend) if isinstance(one, ServerMeasured)), None)


def layers(backend: object) -> Iterator[object]:
    """A backend and what it wraps, as far as wrappers name it ``inner``."""
    while backend is not None:
        yield backend
        backend = getattr(backend, "__dict__", {}).get("inner")
