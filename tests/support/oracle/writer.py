"""The writer: commits numbered events as services do, and logs what the database confirmed.

Each transaction locks its keys before it inserts, as a service locks its aggregate: so ids and numbers of one
key ascend in the order of the commits, while transactions of different keys overlap and commit in any order.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Self

from .events import Committed, payload
from .pace import Pace
from .session import UNAVAILABLE, Sessions
from .table import OutboxTable

Key = str | None
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))"


class Writer:
    """Writes one run's events to one table. ``seed`` decides keys, sizes and outcomes; print it."""

    def __init__(
        self,
        uri: str,
        table: OutboxTable | None = None,
        *,
        keys: int = 100,
        seed: int = 0,
        filler: int = 100,
        patience: float = 120,
    ) -> None:
        self.table = table or OutboxTable()
        self.run = uuid.uuid4().hex[:8]
        """Part of each key, so that two runs on one table or topic never meet."""
        self.keys: list[Key] = [f"{self.run}-{n}" for n in range(keys)] if self.table.keyed else [None]
        self.committed: list[Committed] = []
        self.rolled_back = 0
        self.interrupted = 0
        """Transactions that the database broke off."""
        self._sessions = Sessions(uri, patience=patience)
        self._filler = "x" * filler
        self._random = random.Random(seed)
        self._numbers: Counter[Key] = Counter()

    async def __aenter__(self) -> Self:
        await self._sessions.prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sessions.close()

    async def create_table(self) -> None:
        """Create the outbox table."""
        async with self._sessions.one() as session:
            await session.execute(self.table.ddl())

    async def transaction(
        self,
        keys: Sequence[Key] | None = None,
        *,
        rollback: bool = False,
        before_end: Callable[[], Awaitable[object]] | None = None,
        filler: str | None = None,
    ) -> list[Committed]:
        """One transaction with one event for each of ``keys`` (a key may repeat), and what of it was committed.

        ``before_end`` runs after the inserts and before COMMIT or ROLLBACK: what waits there commits late.
        """
        chosen = list(keys) if keys is not None else self._some_keys()
        async with self._sessions.one() as session:
            await session.execute("BEGIN")
            journal = uuid.uuid4()
            events = await self._insert(session, journal, chosen, self._filler if filler is None else filler)
            if before_end is not None:
                await before_end()
            if rollback:
                await session.execute("ROLLBACK")
                self.rolled_back += len(events)
                return []
            return await self._commit(session, journal, events, time.time())

    async def bulk(self, rows: int, *, chunk: int = 50_000) -> list[Committed]:
        """Commit ``rows`` events, evenly over all keys, by a few statements; their latency is not measured."""
        before = len(self.committed)
        for start in range(0, rows, chunk):
            async with self._sessions.one() as session:
                await session.execute("BEGIN")
                journal = uuid.uuid4()
                events = await self._insert_series(session, journal, min(chunk, rows - start))
                await self._commit(session, journal, events, None)
        return self.committed[before:]

    async def write(
        self,
        events: int | None = None,
        *,
        until: asyncio.Event | None = None,
        per_second: float | None = None,
        rollback_share: float = 0.1,
        late_share: float = 0.1,
        hold: float = 0.2,
        sessions: int = 4,
    ) -> None:
        """Commit small transactions until there are ``events`` more, or until ``until`` is set.

        A share of them holds its ids up to ``hold`` seconds before it ends, a share rolls back. A database that
        goes away meanwhile is waited for.
        """
        goal = None if events is None else len(self.committed) + events
        pace = Pace(per_second)

        def is_done() -> bool:
            return (goal is not None and len(self.committed) >= goal) or (until is not None and until.is_set())

        async def work() -> None:
            while not is_done():
                keys = self._some_keys()
                await pace.wait(len(keys))
                if is_done():
                    return
                late = self._random.random() < late_share
                delay = self._random.uniform(0, hold) if late else 0.0
                rollback = self._random.random() < rollback_share
                before_end = (lambda: asyncio.sleep(delay)) if late else None  # noqa: B023 - awaited in this round
                try:
                    await self.transaction(keys, rollback=rollback, before_end=before_end)
                except UNAVAILABLE:
                    self.interrupted += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(sessions):
                group.create_task(work(), name="oracle writer")

    @contextlib.asynccontextmanager
    async def writing(self, **options: Any) -> AsyncIterator[None]:
        """``write`` in the background while the block runs; what it was doing is finished at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.write(until=stop, **options), name="oracle writer")
        try:
            yield
        finally:
            stop.set()
            await task

    async def late_commits(self, transactions: int, *, rollback_share: float = 0.25, at_once: int = 40) -> None:
        """Transactions that all take their ids first and then end one by one in random order, some by ROLLBACK."""
        left = transactions
        while left:
            wave = min(left, at_once, len(self.keys))
            await self._wave(wave, rollback_share)
            left -= wave

    async def _wave(self, size: int, rollback_share: float) -> None:
        inserted = [asyncio.Event() for _ in range(size)]
        turns = [asyncio.Event() for _ in range(size)]
        keys = self._random.sample(self.keys, size)

        async def one(n: int) -> None:
            async def wait_for_turn() -> None:
                inserted[n].set()
                await turns[n].wait()

            rollback = self._random.random() < rollback_share
            await self.transaction([keys[n]] * 2, rollback=rollback, before_end=wait_for_turn)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n), name="oracle late commit") for n in range(size)]
            for event in inserted:
                await event.wait()
            for n in self._random.sample(range(size), size):
                turns[n].set()
                await tasks[n]

    async def _insert(self, session: Any, journal: uuid.UUID, keys: list[Key], filler: str) -> list[Committed]:
        await session.fetchval(_LOCK_SHARED, self.run)
        for key in sorted({key or "" for key in keys}):
            await session.fetchval(_LOCK, f"{self.run}/{key}")
        numbers = [self._next(key) for key in keys]
        ids = [uuid.uuid4() for _ in keys]
        texts = [payload(key, number, filler) for key, number in zip(keys, numbers, strict=True)]
        rows = await session.fetch(self.table.insert(), journal, ids, keys, texts)
        columns = zip(keys, numbers, ids, rows, strict=True)
        return [Committed(key, number, str(id_), row["id"]) for key, number, id_, row in columns]

    async def _insert_series(self, session: Any, journal: uuid.UUID, rows: int) -> list[Committed]:
        # One lock against all small transactions of this run, instead of one for each of thousands of keys.
        await session.fetchval(_LOCK, self.run)
        bases = [self._numbers[key] for key in self.keys]
        found = await session.fetch(self.table.insert_series(), journal, rows, self.keys, bases, self._filler)
        events = []
        for row in found:
            key = row["aggregate_id"]
            events.append(Committed(key, self._next(key), row["event_id"], row["id"]))
        return events

    async def _commit(
        self, session: Any, journal: uuid.UUID, events: list[Committed], committed_at: float | None
    ) -> list[Committed]:
        try:
            await session.execute("COMMIT")
        except UNAVAILABLE:
            self.interrupted += 1
            session.terminate()
            if not await self._sessions.was_committed(journal):
                return []
        logged = [event._replace(committed_at=committed_at) for event in events]
        self.committed.extend(logged)
        return logged

    def _next(self, key: Key) -> int:
        self._numbers[key] += 1
        return self._numbers[key]

    def _some_keys(self) -> list[Key]:
        return [self._random.choice(self.keys) for _ in range(self._random.choice((1, 1, 2, 5)))]
