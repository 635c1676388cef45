"""One data connection that heals: opened when needed, verified when opened, dropped at the first error.

When other credentials are in use than it was opened with, another one takes its place before the next transaction.

Every statement runs in a transaction block of its own, so that a transaction pooler cannot move the connection to
another server session between parsing and executing, and settings stay local to it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_connect import connect, resolve
from outboxrelay.adapters.postgres_errors import translate
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, Values, renewable
from outboxrelay.api.source import Database

CLIENT_MARGIN_SECONDS = 1.0
"""The server gives a statement up first; the client's own limit is for a server that says nothing."""

T = TypeVar("T")
Welcome = Callable[[asyncpg.Connection], Awaitable[None]]


class _Opened(NamedTuple):
    connection: asyncpg.Connection
    fingerprint: str
    """Of the credentials that opened it."""


class Lane:
    """A connection for one purpose."""

    def __init__(
        self,
        database: Database,
        credentials: Credentials | RenewableCredentials,
        *,
        application_name: str,
        begin: str,
        welcome: Welcome | None = None,
    ) -> None:
        self._database = database
        self._credentials = renewable(credentials, database.secret_references)
        self._name = application_name
        self._timeout = float(database.statement_timeout_seconds)
        self._begin = f"{begin}; SET LOCAL statement_timeout = {database.statement_timeout_seconds * 1000}"
        self._welcome = welcome
        self._opened: _Opened | None = None
        self._version = 0
        """Of the credentials that were in use when it was opened; another one asks for another connection."""
        self._prepared: _Opened | None = None
        """Waits for its credentials to be in use."""
        self._holding = False

    @property
    def _connection(self) -> asyncpg.Connection | None:
        return self._opened.connection if self._opened else None

    async def open(self) -> None:
        """Connect unless connected with what is in use; raises SourceFault."""
        if self._opened is not None and not self._opened.connection.is_closed():
            if self._holding or self._version == self._credentials.version:
                return
            await self.close()
        self._holding = False
        if self.is_prepared(self._credentials.current):
            self._opened, self._prepared = self._prepared, None
            self._version = self._credentials.version
            return
        before = self._credentials.version
        self._opened = await self._credentials.connect(self._connect)
        in_use = self._opened.fingerprint == self._credentials.current.fingerprint
        self._version = self._credentials.version if in_use else before

    async def prepare(self, values: Values) -> None:
        """Open a connection with ``values`` beside the one in use, for when they are in use; raises SourceFault."""
        await self.drop()
        self._prepared = await self._connect(values)

    def is_prepared(self, values: Values) -> bool:
        """Whether a connection with ``values`` waits to be used."""
        waiting = self._prepared
        return waiting is not None and waiting.fingerprint == values.fingerprint and not waiting.connection.is_closed()

    async def drop(self) -> None:
        """Give up what was prepared."""
        if self._prepared is not None:
            self._prepared.connection.terminate()
            self._prepared = None

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
        if self._opened is not None:
            self._opened.connection.terminate()
            self._opened = None

    async def _connect(self, values: Values) -> _Opened:
        settings = resolve(self._database, values)
        timeout = self._timeout + CLIENT_MARGIN_SECONDS
        connection = await connect(settings, application_name=self._name, statement_timeout=timeout)
        if self._welcome:
            try:
                await self._welcome(connection)
            except BaseException as error:
                connection.terminate()
                fault = translate(error) if isinstance(error, Exception) else None
                if fault is None:
                    raise
                raise fault from None
        return _Opened(connection, values.fingerprint)

    async def _transaction(
        self, connection: asyncpg.Connection, statement: str, arguments: tuple[Any, ...], *, end: bool = True
    ) -> list[asyncpg.Record]:
        if not self._holding:
            await connection.execute(self._begin)
        self._holding = True
        rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
        if end:
            await connection.execute("COMMIT")
            self._holding = False
        return rows

    async def _guarded(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except BaseException as error:
            # In whatever state it is now, cancelled calls included, a new connection is simpler than a repaired one.
            await self.close()
            fault = translate(error) if isinstance(error, Exception) else None
            if fault is None:
                raise
            raise fault from None
