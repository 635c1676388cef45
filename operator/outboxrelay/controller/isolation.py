"""Running work of one relay so that whatever happens in it stays with that relay: errors, bugs, and waiting."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

CANCEL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How the work ended: with a value, with an error, or not in time."""

    value: T | None = None
    error: BaseException | None = None
    timed_out: bool = False


async def isolated(work: Callable[[], Coroutine[Any, Any, T]], *, seconds: float, name: str) -> Outcome[T]:
    """Run ``work`` for at most ``seconds``. Whatever it raises is returned; work that does not stop is left behind."""
    task = asyncio.create_task(work(), name=name)
    task.add_done_callback(_seen)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)
            return Outcome(timed_out=True)
    finally:
        if not task.done():
            task.cancel()
    if task.cancelled():
        return Outcome(timed_out=True)
    error = task.exception()
    return Outcome(error=error) if error is not None else Outcome(value=task.result())


def _seen(task: asyncio.Task[Any]) -> None:
    """Take note of an error that comes when nobody waits any more."""
    if not task.cancelled():
        task.exception()
