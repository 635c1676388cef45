"""The control session: advisory locks that say who is a member and who owns which shard.

The server ends the session, and with it the locks, when this process dies or says nothing for SESSION_SECONDS; TCP's
own limits do the same for a machine that is gone. A session is needed: behind a transaction pooler the locks would
belong to nobody in particular, which is noticed and refused.

The server counts no silence between Parse and Bind, two messages that asyncpg sends one after the other: a process
that is frozen there keeps its locks for as long as it is frozen. So whatever the heartbeat asks is prepared before the
session has any lock, and is one message from then on. What doorbell and poison ask has such a moment once a session.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_connect import connect, resolve
from outboxrelay.adapters.postgres_errors import CLIENT_ERRORS, raised_for
from outboxrelay.adapters.postgres_handover import hand_over
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, Values, renewable
from outboxrelay.api.names import Reason
from outboxrelay.api.source import Database
from outboxrelay.decisions.sharding import MEMBER_BASE, Holding, lock_base
from outboxrelay.errors import SourceFault

T = TypeVar("T")

SESSION_SECONDS = 15
STATEMENT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
HANDOVER_SECONDS = 3.0
"""Shorter than the heartbeat's patience, which waits meanwhile."""
OLDEST_WITH_IDLE_TIMEOUT = 14
POOLED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A statement that was prepared is not there, or one is that nobody prepared: each time another server's session."""
SETTINGS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SESSION_SECONDS * 1000),
    # The idle limit of sessions does not count while a transaction is open.
    "idle_in_transaction_session_timeout": f"{SESSION_SECONDS}s",
    "synchronous_commit": "off",
    # A statement that waits for a lock keeps the heartbeat waiting, which ends the session.
    "lock_timeout": "2s",
}


class PostgresControl:
    """One session at a time; satisfies the relay's ControlSession."""

    def __init__(
        self,
        database: Database,
        uid: str,
        credentials: Credentials | RenewableCredentials,
        application_name: str,
    ) -> None:
        self._database = database
        self._credentials = renewable(credentials, database.secret_references)
        self._name = application_name
        self._base = lock_base(uid)
        unsigned = self._base & (2**64 - 1)
        self._halves = (unsigned >> 32, unsigned & 0xFFFFFFFF)
        self._connection: asyncpg.Connection | None = None
        self._pid: int | None = None
        self._locked: set[int] = set()
        self._channels: dict[str, Callable[[], None]] = {}
        self.sessions = 0
        """How many there have been so far: but for the slots, what one of them had locked the next one has not."""
        self._successor: asyncpg.Connection | None = None
        # Heartbeat, poison and doorbell share the session, and it takes one statement at a time.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Connect and set the limits of the session; raises SourceFault."""
        await self.close()
        self._connection = await self._credentials.connect(self._connect)
        self.sessions += 1
        self._credentials.pinned = True

    async def prepare(self, values: Values) -> None:
        """Open a session with ``values`` that could take over from this one; raises SourceFault.

        Where no session is open there is nothing to take over.
        """
        await self.drop()
        if self._connection is None or self._pid is None:
            return
        self._successor = successor = await self._connect(values, limited=False)
        try:
            async with self._turn:
                rows = await successor.fetch(sql("locks"), *self._halves)
                seen = {row["slot"] for row in rows if row["pid"] == self._pid}
                if not self._locked <= seen:
                    raise elsewhere()
        except BaseException as error:
            await self.drop()
            if isinstance(error, CLIENT_ERRORS):
                raise _fault(error) from None
            raise

    @property
    def is_prepared(self) -> bool:
        """Whether ``hand_over`` can be called."""
        if self._connection is None:
            return False
        return self._successor is not None and not self._successor.is_closed()

    async def hand_over(self) -> None:
        """What was prepared is the session from now on, with every lock and channel; raises SourceFault.

        Nobody else can take a lock meanwhile. Where it fails half way the session is lost, as the next
        call tells.
        """
        async with self._turn:
            old, new, self._successor = self._connection, self._successor, None
            if old is None or new is None:
                raise SourceFault(Reason.CONNECT_FAILED, "the control session was lost")
            await self._ready(new)
            try:
                async with asyncio.timeout(HANDOVER_SECONDS):
                    await hand_over(old, new, self._base, self._locked)
            except BaseException as error:
                # Some locks may be here and some there: neither is a session of ours.
                old.terminate()
                new.terminate()
                if isinstance(error, CLIENT_ERRORS):
                    raise _fault(error) from None
                raise
            self._connection, self._pid = new, None
            self.sessions += 1
        await _end(old)

    async def drop(self) -> None:
        """Give up what was prepared."""
        successor, self._successor = self._successor, None
        if successor is not None:
            await _end(successor)

    async def observe(self) -> Holding:
        """The locks of this relay; raises SourceFault where the session is not what it was."""
        rows = await self.fetch(sql("locks"), *self._halves)
        own = rows[0]["own"]
        self._pid = self._pid or own
        mine = {row["slot"] for row in rows if row["pid"] == own}
        # Locks of this relay that this session never took are another client's: a pooler lets them share it.
        if own != self._pid or self._locked != mine:
            raise pooled()
        slots = {row["slot"]: row["pid"] for row in rows if row["slot"] >= 0}
        return Holding(
            members=tuple(sorted(slot - MEMBER_BASE for slot in slots if slot >= MEMBER_BASE)),
            owners={slot: pid for slot, pid in slots.items() if slot < MEMBER_BASE},
        )

    async def try_lock(self, slots: Collection[int]) -> frozenset[int]:
        """Those of ``slots`` that are this session's now; raises SourceFault."""
        wanted = [slot for slot in slots if slot not in self._locked]
        rows = await self.fetch(sql("try_lock"), self._base, wanted) if wanted else []
        taken = frozenset(row["slot"] for row in rows)
        self._locked |= taken
        return taken

    async def unlock(self, slots: Collection[int]) -> None:
        """Give locks back; raises SourceFault."""
        mine = [slot for slot in slots if slot in self._locked]
        if mine:
            await self.fetch(sql("unlock"), self._base, mine)
            self._locked -= set(mine)

    async def close(self) -> None:
        """End the session."""
        connection, self._connection = self._connection, None
        self._pid, self._locked, self._channels = None, set(), {}
        self._credentials.pinned = False
        await self.drop()
        if connection is not None:
            await _end(connection)

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of one statement in the session; raises SourceFault."""

        async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return rows

        return await self._alone(run)

    async def fetch_durably(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """As ``fetch``, and on disk when it returns; raises SourceFault."""

        async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = on")
                rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return rows

        return await self._alone(run)

    async def listen(self, channel: str, heard: Callable[[], None]) -> bool:
        """Call ``heard`` at each notification of others on ``channel``, as long as the session lives.

        False where it is called already. Raises SourceFault.
        """

        async def run(connection: asyncpg.Connection) -> None:
            await _listen(connection, channel, heard)

        if channel in self._channels:
            return False
        await self._alone(run)
        self._channels[channel] = heard
        return True

    async def _alone(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async with self._turn:
            connection = self._connection
            if connection is None:
                raise SourceFault(Reason.CONNECT_FAILED, "the control session was lost")
            try:
                return await work(connection)
            except CLIENT_ERRORS as error:
                raise _fault(error) from None

    async def _ready(self, successor: asyncpg.Connection) -> None:
        """Give ``successor`` the limits and the channels of a session, but no lock yet; raises SourceFault."""
        try:
            await _limit(successor)
            for channel, heard in self._channels.items():
                await _listen(successor, channel, heard)
        except BaseException as error:
            successor.terminate()
            if isinstance(error, CLIENT_ERRORS):
                raise _fault(error) from None
            raise

    async def _connect(self, values: Values, *, limited: bool = True) -> asyncpg.Connection:
        """A session; one that is not ``limited`` may say nothing for as long as it likes."""
        settings = resolve(self._database, values, direct=True)
        connection = await connect(
            settings, application_name=self._name, statement_timeout=STATEMENT_SECONDS, keeps_statements=True
        )
        try:
            if limited:
                await _limit(connection)
            await self._rehearse(connection)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, CLIENT_ERRORS):
                raise _fault(error) from None
            raise
        return connection

    async def _rehearse(self, connection: asyncpg.Connection) -> None:
        """Ask all that is asked of a session with locks once, about nothing: it is prepared from then on."""
        await connection.fetch(sql("locks"), *self._halves)
        for name in ("lock", "try_lock", "unlock"):
            await connection.fetch(sql(name), self._base, [])
        await connection.fetch(sql("unlock_awaited"), 0)


async def _limit(connection: asyncpg.Connection) -> None:
    """Let the server end the session of a process that says nothing."""
    wanted = dict(SETTINGS)
    if connection.get_server_version().major >= OLDEST_WITH_IDLE_TIMEOUT:
        wanted["idle_session_timeout"] = f"{SESSION_SECONDS}s"
    statement = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s(name, value)"
    await connection.fetch(statement, list(wanted), list(wanted.values()))


async def _listen(connection: asyncpg.Connection, channel: str, heard: Callable[[], None]) -> None:
    own = connection.get_server_pid()
    await connection.add_listener(channel, lambda _, pid, *__: None if pid == own else heard())


async def _end(connection: asyncpg.Connection) -> None:
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except CLIENT_ERRORS:
        connection.terminate()


def _fault(error: BaseException) -> BaseException:
    return pooled() if isinstance(error, POOLED) else raised_for(error)


def elsewhere() -> SourceFault:
    """The fault of credentials that lead to where the relay's locks are not."""
    return SourceFault(
        Reason.UNSUPPORTED_SERVER,
        "it names another server or database than the one where this relay holds its locks, and a relay that runs "
        "does not move: restart it",
    )


def pooled() -> SourceFault:
    """The fault of a connection that is not one session."""
    return SourceFault(
        Reason.UNSUPPORTED_SERVER,
        "the database connection goes through a transaction pooler: the relay's advisory locks need a session of "
        "their own, so name the server itself in spec.source.database.direct, or connect to a pool in session mode",
    )
