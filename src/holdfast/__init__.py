"""Multi-turn assistants whose conversations survive their servers.

async with open_store("redis://localhost:6379/0", ttl="2h") as store:
    outcome = await store.run_turn("s-1", answer, input="where is my order?", turn_id=message_id)
"""

from holdfast.backends.records import Version
from holdfast.sensitive.value import Sensitive
from holdfast.sessions.message import Citation, Message, ToolCall
from holdfast.sessions.session import Session
from holdfast.sessions.settings import StoreSettings
from holdfast.turns.outcome import Outcome
from holdfast.turns.retry import Retry
from holdfast.turns.store import TurnStore as Store
from holdfast.turns.turn import Turn
from holdfast.wiring import open_store

__version__ = "0.1.0"
__all__ = [
    "Citation",
    "Message",
    "Outcome",
    "Retry",
    "Sensitive",
    "Session",
    "Store",
    "StoreSettings",
    "ToolCall",
    "Turn",
    "Version",
    "__version__",
    "open_store",
]
