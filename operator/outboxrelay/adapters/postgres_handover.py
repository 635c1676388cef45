"""Advisory locks passed from one session to another without a moment in which anybody else could take them."""

import asyncio
from collections.abc import Collection

import asyncpg

from outboxrelay.adapters.postgres_statements import sql

LOOK_SECONDS = 0.001


async def hand_over(old: asyncpg.Connection, new: asyncpg.Connection, base: int, slots: Collection[int]) -> None:
    """``new`` holds every lock of ``slots`` that ``old`` held. Raises what the driver raises: both have some then.

    ``new`` queues for one lock after the other, and ``old`` gives back just the one that is queued for: the server
    hands a lock to whoever waits for it before anybody who tries can have it.
    """
    successor = await new.fetchval("SELECT pg_backend_pid()")
    waiting = asyncio.create_task(new.fetch(sql("lock"), base, sorted(slots)), name="handover")
    try:
        while not waiting.done():
            if not await old.fetch(sql("unlock_awaited"), successor):
                await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        await waiting
    finally:
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
