"""Redis servers that lack commands, as old and managed ones do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from holdfast.testing.servers import RedisServer
from store_nodes import needs_redis_server

FUNCTIONS: Final = ("FCALL", "FCALL_RO", "FUNCTION")
READING_SCRIPTS: Final = ("EVALSHA_RO",)
"""Redis 6.2 has neither."""


@contextmanager
def without(*commands: str, **options: str) -> Iterator[RedisServer]:
    """A server whose ``commands`` are renamed away."""
    needs_redis_server()
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-") as folder:
        file = Path(folder) / "renamed.conf"
        file.write_text("".join(f'rename-command {command} ""\n' for command in commands))
        with RedisServer({**options, **({"include": str(file)} if commands else {})}) as server:
            yield server
