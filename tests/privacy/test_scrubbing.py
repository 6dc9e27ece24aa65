"""A server that cannot write its files anew does not pass for a clean one."""

from __future__ import annotations

import os
import shutil

from holdfast import open_store
from holdfast.privacy.erasing import erase_user
from holdfast.testing.servers import RedisServer


async def test_a_snapshot_that_failed_is_left() -> None:
    async with RedisServer() as server, open_store(server.url) as store:
        await store.set("s", {"a": 1}, user="ann")
        shutil.rmtree(server.folder)
        try:
            done = await erase_user(store, "ann")
        finally:
            os.mkdir(server.folder)  # noqa: PTH102 -- its process ends in it
        assert any("BGSAVE failed" in left for left in done.left)
