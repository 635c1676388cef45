"""One data connection that heals: opened when needed, verified when opened, dropped at the first error.

Every statement runs in a transaction block of its own, so that a transaction pooler cannot move the connection to
another server session between parsing and executing, and settings stay local to it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_connect import connect, resolve
from outboxrelay.adapters.postgres_errors import lost, translate
from outboxrelay.api.names import Reason
from outboxrelay.api.source import Database
from outboxrelay.errors import RowsLocked

CLIENT_MARGIN_SECONDS = 1.0
"""The server gives a statement up first; the client's own limit is for a server that says nothing."""

T = TypeVar("T")
Welcome = Callable[[asyncpg.Connection], Awaitable[None]]


class Lane:
    """A connection for one purpose."""

    def __init__(
        self,
        database: Database,
        credentials: Credentials,
        *,
        application_name: str,
        begin: str,
        welcome: Welcome | None = None,
        tells: bool = False,
    ) -> None:
        """``tells``: a connection that was lost unseen is a fault, because what was learned on it may not hold now."""
        self._database = database
        self._credentials = credentials
        self._name = application_name
        self._timeout = float(database.statement_timeout_seconds)
        self._begin = f"{begin}; SET LOCAL statement_timeout = {database.statement_timeout_seconds * 1000}"
        self._welcome = welcome
        self._tells = tells
        self._connection: asyncpg.Connection | None = None
        self._holding = False

    @property
    def is_holding(self) -> bool:
        """Whether a transaction is open, and with it what it locked."""
        return self._holding and self._connection is not None and not self._connection.is_closed()

    async def open(self) -> None:
        """Connect unless connected; raises SourceFault."""
        if self._connection is not None and not self._connection.is_closed():
            return
        if self._connection is not None and self._tells:
            await self.close()
            raise lost()
        settings = resolve(self._database, self._credentials)
        timeout = self._timeout + CLIENT_MARGIN_SECONDS
        connection = await connect(settings, application_name=self._name, statement_timeout=timeout)
        self._connection, self._holding = connection, False
        if self._welcome:
            await self._guarded(self._welcome(connection))

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of one statement in a transaction of its own; raises SourceFault."""
        await self.open()
        return await self._guarded(self._transaction(self._connection, statement, arguments))

    async def hold(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """As ``fetch``, but the transaction stays open for the next ``fetch``, which ends it, or ``release``."""
        await self.open()
        return await self._guarded(self._transaction(self._connection, statement, arguments, end=False))

    async def release(self) -> None:
        """End a transaction that is open, if one is; raises SourceFault."""
        if self._holding and self._connection is not None:
            await self._guarded(self._connection.execute("ROLLBACK"))
        self._holding = False

    async def close(self) -> None:
        """Drop the connection."""
        self._holding = False
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _transaction(
        self, connection: asyncpg.Connection, statement: str, arguments: tuple[Any, ...], *, end: bool = True
    ) -> list[asyncpg.Record]:
        if not self._holding:
            await connection.execute(self._begin)
        self._holding = True
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        except asyncpg.LockNotAvailableError as error:
            await connection.execute("ROLLBACK")
            self._holding = False
            raise RowsLocked(Reason.TIMEOUT, f"PostgreSQL: {error}") from None
        if end:
            await connection.execute("COMMIT")
            self._holding = False
        return rows

    async def _guarded(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except RowsLocked:
            raise
        except BaseException as error:
            # In whatever state it is now, cancelled calls included, a new connection is simpler than a repaired one.
            await self.close()
            fault = translate(error) if isinstance(error, Exception) else None
            if fault is None:
                raise
            raise fault from None
