"""The same store for blocking code.

with open_store("redis://localhost:6379/0", ttl="2h") as store:
    store.set("s-1", {"step": "login"})
    outcome = store.run_turn("s-1", answer, input="where is my order?", turn_id=message_id)

One background thread with an event loop serves all blocking stores of a process. It starts, and a store connects, on first
use; after a fork each process does both anew, so a store may be made before gunicorn forks its workers.
"""

from holdfast.sync.contract import SessionStore, promises
from holdfast.sync.store import InMemorySessionStore, RedisSessionStore, SqliteSessionStore, Store, open_store
from holdfast.sync.turn import Turn

__all__ = [
    "InMemorySessionStore",
    "RedisSessionStore",
    "SessionStore",
    "SqliteSessionStore",
    "Store",
    "Turn",
    "open_store",
    "promises",
]
