"""The writer's database sessions: reconnect while the database is away, and tell what became of a commit."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

UNAVAILABLE = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
"""What a writer meets while somebody breaks the database, and outlives."""

PAUSE = 0.2
JOURNAL = "INSERT INTO public.oracle_journal (id) VALUES ($1)"


class Sessions:
    """Hands out sessions, one user each, and opens new ones until ``patience`` seconds have passed."""

    def __init__(self, uri: str, *, patience: float = 120) -> None:
        self._uri = uri
        self._patience = patience
        self._idle: list[Any] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """A session that answers; closed, not reused, when its user fails."""
        session = await self._take()
        try:
            yield session
        except BaseException as error:
            was_closed = session.is_closed()
            session.terminate()
            if was_closed and isinstance(error, asyncpg.InterfaceError):
                raise ConnectionError("the database closed the session") from error
            raise
        self._idle.append(session)

    async def close(self) -> None:
        """End the idle sessions."""
        while self._idle:
            self._idle.pop().terminate()

    async def _take(self) -> Any:
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                return session
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await asyncpg.connect(self._uri, timeout=5, command_timeout=60)
            except UNAVAILABLE:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(PAUSE)

    async def prepare(self) -> None:
        """Create the journal, in which each transaction leaves its id."""
        async with self.one() as session:
            with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
                await session.execute("CREATE TABLE IF NOT EXISTS public.oracle_journal (id uuid PRIMARY KEY)")

    async def was_committed(self, transaction: uuid.UUID) -> bool:
        """What became of a transaction whose COMMIT nobody confirmed.

        Its id is inserted once more: that waits for it where it still runs, and conflicts where it committed.
        (pg_xact_status would be wrong after a crash, which hands out lost transaction numbers again.)
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                async with self.one() as session:
                    await session.execute("BEGIN")
                    done = await session.execute(JOURNAL + " ON CONFLICT DO NOTHING", transaction)
                    await session.execute("ROLLBACK")
                return bool(done == "INSERT 0 0")
            except UNAVAILABLE:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(PAUSE)
