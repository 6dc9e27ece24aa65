"""Sessions in Redis. Needs the extra: ``pip install 'holdfast[redis]'``."""

from __future__ import annotations

from holdfast.errors import MissingExtra

try:
    import hiredis  # noqa: F401 - only to see whether it is there
    import redis  # noqa: F401
except ImportError as error:
    raise MissingExtra("the Redis backend needs redis-py and hiredis: pip install 'holdfast[redis]'") from error

from holdfast.backends.redis.backend import RedisBackend
from holdfast.backends.redis.open import open_redis

__all__ = ["RedisBackend", "open_redis"]
