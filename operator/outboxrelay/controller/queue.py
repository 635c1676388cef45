"""The work queue: relays that are to be looked at, each at most once at a time.

Waking a relay that waits changes nothing; waking one that is being worked on makes it run once more. A relay that
fails is tried again with backoff and takes nothing from the others; a changed spec ends its backoff. Critical relays
have a lane of their own, and the relays of one namespace never take all workers.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from outboxrelay.controller.isolation import Outcome, isolated
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.decisions.turns import lanes_of, next_turns
from outboxrelay.errors import Fault

log = structlog.get_logger(__name__)

BACKOFF = BackoffPolicy(initial=1.0, maximum=300.0, multiplier=2.0)
WORKERS = 20
RUN_SECONDS = 60.0

Work = Callable[[Key], Coroutine[Any, Any, float | None]]
"""Looks at one relay; gives the seconds after which to look again, or None."""


class WorkQueue:
    """Runs ``work`` for keys that were woken."""

    def __init__(
        self,
        work: Work,
        *,
        workers: int = WORKERS,
        chance: Callable[[], float] = random.random,
        is_critical: Callable[[Key], bool] = lambda _key: False,
    ) -> None:
        self._work = work
        self._lanes = lanes_of(workers)
        self._is_critical = is_critical
        self._chance = chance
        self._due: dict[Key, float] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._changed_since: set[Key] = set()
        """Of those that run: whose spec changed meanwhile."""
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait or run."""
        return len(self._due) + len(self._running)

    def due(self) -> int:
        """Keys that run, or would if a worker were free."""
        now = asyncio.get_running_loop().time()
        return len(self._running) + sum(1 for _, when in self._waiting() if when <= now)

    def changed(self, key: Key) -> None:
        """Look at ``key``, whose spec changed: what failed before says nothing about the new one."""
        self._failures.pop(key, None)
        if key in self._running:
            self._changed_since.add(key)
        self.wake(key)

    def wake(self, key: Key, after: float = 0.0) -> None:
        """Look at ``key`` in ``after`` seconds, or sooner where that was asked for already."""
        if key in self._running and not after:
            self._again.add(key)
            return
        when = asyncio.get_running_loop().time() + after
        if key not in self._due or when < self._due[key]:
            self._due[key] = when
            self._changed.set()

    def forget(self, key: Key) -> None:
        """Drop what is remembered of ``key``."""
        self._due.pop(key, None)
        self._again.discard(key)
        self._changed_since.discard(key)
        self._failures.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self._start_due()):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                self._changed.clear()
        finally:
            await self._stop()

    def _start_due(self) -> float | None:
        """Start what is due and finds a worker; seconds until something else falls due, None where nothing will.

        Whoever is due and was not started waits for the end of another one, which wakes the loop."""
        now, later = asyncio.get_running_loop().time(), float("inf")
        ready: list[tuple[float, Key]] = []
        for key, when in self._waiting():
            if when <= now:
                ready.append((when, key))
            else:
                later = min(later, when)
        for key in next_turns(ready, self._running, self._is_critical, self._lanes):
            del self._due[key]
            self._running[key] = asyncio.create_task(self._run_one(key), name=f"reconcile {key[0]}/{key[1]}")
        return later - now if later < float("inf") else None

    def _waiting(self) -> list[tuple[Key, float]]:
        """Keys that may start: one that runs waits for its end."""
        return [(key, when) for key, when in self._due.items() if key not in self._running]

    async def _run_one(self, key: Key) -> None:
        outcome = await isolated(partial(self._work, key), seconds=RUN_SECONDS, name=f"reconcile {key[0]}/{key[1]}")
        self._running.pop(key, None)
        self._schedule(key, outcome)
        self._changed.set()

    def _schedule(self, key: Key, outcome: Outcome[float | None]) -> None:
        again = key in self._again
        self._again.discard(key)
        if key in self._changed_since:
            self._changed_since.discard(key)
            self.wake(key)
            return
        if outcome.error is None and not outcome.timed_out:
            self._failures.pop(key, None)
            if again:
                self.wake(key)
            elif outcome.value is not None:
                self.wake(key, outcome.value)
            return
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = backoff(BACKOFF, failures, self._chance())
        _log_failure(key, outcome, failures, wait)
        self._due[key] = asyncio.get_running_loop().time() + wait

    async def _stop(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)


def _log_failure(key: Key, outcome: Outcome[float | None], failures: int, wait: float) -> None:
    namespace, name = key
    facts = {"namespace": namespace, "relay": name, "failures": failures, "retry_in": round(wait, 1)}
    if outcome.timed_out:
        log.warning("reconcile_timed_out", seconds=RUN_SECONDS, **facts)
    elif isinstance(outcome.error, Fault):
        log.warning("reconcile_failed", reason=outcome.error.reason, message=str(outcome.error), **facts)
    else:
        # A bug that one relay's content brings out must not end the care for all the others.
        log.error("reconcile_broken", exc_info=outcome.error, **facts)
