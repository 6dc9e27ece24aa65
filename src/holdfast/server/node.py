"""What a request needs of its node."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from holdfast.assistant.masking import Masker
    from holdfast.config import Config
    from holdfast.knowledge.contract import Knowledge
    from holdfast.privacy.audit import AuditLog
    from holdfast.server.desk import TurnDesk
    from holdfast.server.guard import Guard
    from holdfast.server.metrics import Metrics
    from holdfast.server.quotas import Quotas
    from holdfast.telemetry.recording import Telemetry
    from holdfast.turns.store import TurnStore
    from holdfast.turns.turn import Turn


class Named(Protocol):
    """A language model, as far as the server has to know it."""

    name: str


class Served(Protocol):
    """The assistant, as far as the server has to know it: a turn's handler, and how its values are masked."""

    @property
    def masker(self) -> Masker:
        """Masks whatever leaves the server."""
        ...

    @property
    def knowledge(self) -> Knowledge | None:
        """The documents that are cited, if any."""
        ...

    @property
    def model(self) -> Named | None:
        """The language model, if any."""
        ...

    async def __call__(self, turn: Turn) -> Any:
        """Runs one turn."""
        ...


class Node(NamedTuple):
    """One server process: its parts, and its name."""

    name: str
    store: TurnStore
    assistant: Served
    config: Config
    desk: TurnDesk
    metrics: Metrics
    telemetry: Telemetry
    guard: Guard
    audit: AuditLog | None
    quotas: Quotas


def node_name(given: str) -> str:
    """The name given in the settings, or one made from host and process: ``web1-4711``."""
    return given or f"{socket.gethostname().partition('.')[0][:40] or 'node'}-{os.getpid()}"
