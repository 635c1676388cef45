"""Waiting for a condition with a deadline, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 3
"""A deadline ends what hangs and promises nothing, so that it is this many times as long as what is asked for: on two
processors that three clusters share all may take thrice as long."""


async def until(
    probe: Callable[[], Awaitable[T | None]],
    what: str,
    deadline: float = 60,
    *,
    every: float = 0.3,
    last: Callable[[], object] | None = None,
) -> T:
    """The first result of ``probe`` that is true; ``last`` says at the deadline what was seen instead.

    ``deadline``: seconds of a machine that has a processor to spare, see PATIENCE.
    """
    deadline *= PATIENCE
    end = time.monotonic() + deadline
    while True:
        found = await probe()
        if found:
            return found
        if time.monotonic() > end:
            seen = f"; last seen: {last()}" if last is not None else ""
            raise AssertionError(f"within {deadline:.0f} s there was no {what}{seen}")
        await asyncio.sleep(every)
