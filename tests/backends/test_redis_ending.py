"""Background tasks end although a cancellation gets lost."""

from __future__ import annotations

import asyncio

from holdfast.backends.redis.ending import end


async def test_a_task_that_loses_a_cancellation_ends_with_the_next() -> None:
    lost = 0

    async def careless() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1  # what redis-py does when its wait ends in the same moment
        await asyncio.sleep(60)

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end([task])
    assert task.cancelled() and lost == 2


async def test_ended_tasks_are_left_alone() -> None:
    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await end([task])
    assert isinstance(task.exception(), ValueError)
