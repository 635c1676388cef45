"""Waiting for an event or a time, in slices that beat."""

import asyncio
from collections.abc import Callable, Sequence

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


async def wait_for_any(events: Sequence[asyncio.Event], seconds: float, beat: Callable[[], None] | None = None) -> None:
    """Until one of ``events`` is set, or ``seconds`` passed."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    left = seconds
    try:
        while left > 0:
            piece = min(left, WAIT_SLICE_SECONDS)
            done, _ = await asyncio.wait(waits, timeout=piece, return_when=asyncio.FIRST_COMPLETED)
            left = 0.0 if done else left - piece
            if beat:
                beat()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
