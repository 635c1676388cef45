"""Waiting for an event or a time, in slices that beat."""

import asyncio
from collections.abc import Callable

from outboxrelay.relay.beats import WAIT_SLICE_SECONDS


async def wait_for(event: asyncio.Event, seconds: float, beat: Callable[[], None] | None = None) -> bool:
    """Whether ``event`` was set within ``seconds``."""
    left = seconds
    while not event.is_set() and left > 0:
        piece = min(left, WAIT_SLICE_SECONDS)
        try:
            async with asyncio.timeout(piece):
                await event.wait()
        except TimeoutError:
            left -= piece
        if beat:
            beat()
    return event.is_set()
