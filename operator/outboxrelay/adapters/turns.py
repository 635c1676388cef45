"""One question at a time: whoever asks next waits for its turn, and that is no silence of who is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outboxrelay.errors import NotAsked


@asynccontextmanager
async def turn(lock: asyncio.Lock, seconds: float) -> AsyncIterator[None]:
    """Have the turn; raises NotAsked where it did not come within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await lock.acquire()
    except TimeoutError:
        raise NotAsked(f"others asked the same place for {seconds:.0f} s") from None
    try:
        yield
    finally:
        lock.release()
