"""The controller's own look at databases: one shared connection for all relays that use the same one.

A database that does not answer holds up only those who ask it, and its failure is shared for a moment, so that a
hundred relays of one dead database do not wait for it one after the other.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_connect import ConnectSettings, connect, resolve
from outboxrelay.adapters.postgres_errors import translate
from outboxrelay.adapters.postgres_statements import order, quoted, sql
from outboxrelay.adapters.postgres_table import Reading, TableShape, reading_of
from outboxrelay.adapters.postgres_verify import verify
from outboxrelay.adapters.turns import turn
from outboxrelay.api.names import Reason
from outboxrelay.api.source import Database, Table
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.attention import TURNS, Attention
from outboxrelay.decisions.backlog import COUNT_LIMIT
from outboxrelay.decisions.facts import Exclusions, TableCount
from outboxrelay.errors import NotAsked, SourceFault

APPLICATION_NAME = "outboxrelay controller"
SHARED_FAILURE_SECONDS = 2.0
VERIFY_SECONDS = 30.0
"""How long a table that fits is taken to fit, while its rows can be counted and the server accepts writes."""
IDLE_SECONDS = 60.0
"""A connection that nobody asked for so long is closed: its relays are gone, or log in otherwise now."""
KEY_LIMIT = 200
"""Reports hold that many characters of a key."""
CONNECTION_REASONS = frozenset(
    {
        Reason.CONNECT_FAILED,
        Reason.TIMEOUT,
        Reason.AUTHENTICATION_FAILED,
        Reason.TLS_FAILED,
        Reason.TOO_MANY_CONNECTIONS,
    }
)
SILENCE = frozenset({Reason.TIMEOUT, Reason.CONNECT_FAILED})
"""Reasons that may be of nothing having come back in time."""
SERVERS_SHARE = 0.8
"""Of the time of a question. The server gives a statement up before we do, so that one table that is locked or slow is
told from a server that says nothing at all."""

NOTHING = Exclusions()
Secrets = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class _Known:
    """A table that was found to fit."""

    reading: Reading
    shape: TableShape
    statement: str
    """That counts, where nothing is excluded."""
    at: float


@dataclass(slots=True)
class _Link:
    """The connection to one database, and what it last failed with."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: asyncpg.Connection | None = None
    failure: SourceFault | None = None
    failed_at: float = 0.0
    asked_at: float = 0.0
    tables: dict[str, _Known] = field(default_factory=dict)

    def fail(self, fault: SourceFault) -> None:
        """What is wrong with the database all who ask it shortly after are told at once."""
        if fault.reason in CONNECTION_REASONS and fault is not self.failure:
            self.failure, self.failed_at = fault, time.monotonic()

    def drop(self) -> None:
        """Close the connection at once; the next may lead to another server."""
        self.tables.clear()
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None


class _Slow(SourceFault):
    """The server is there, and gave up counting this one table: that is nothing to the others of its database."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Reason.TIMEOUT, f"the table cannot be counted within {seconds:.1f} s: locked, or slow to read")


class DatabaseProbe:
    """Verifies tables and counts what waits in them."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._links: dict[tuple[ConnectSettings, bool], _Link] = {}
        """Critical relays have a connection of their own: they never wait behind the others of their database."""

    def locate(self, database: Database, secrets: Secrets) -> tuple[tuple[tuple[str, int], ...], str]:
        """Hosts and name of the database; raises SourceFault where the Secrets hold no usable address."""
        settings = resolve(database, MappingCredentials(secrets))
        return tuple(sorted((host.lower(), port) for host, port in settings.hosts)), settings.database

    async def count(
        self, spec: OutboxRelaySpec, secrets: Secrets, exclusions: Exclusions, seconds: float
    ) -> TableCount:
        """Verify the table and count; raises SourceFault that names the database and what to do.

        ``seconds`` begin when the question is put. Raises NotAsked where it waited twice as long behind those of other
        relays, and where nothing came while the operator was late itself.
        """
        database = spec.source.database
        settings = resolve(database, MappingCredentials(secrets))
        now = time.monotonic()
        self._close_idle(now)
        link = self._links.setdefault((settings, spec.is_critical), _Link())
        link.asked_at = now
        async with turn(link.lock, TURNS * seconds):
            away = self._attention.since()
            try:
                async with asyncio.timeout(seconds):
                    return await _ask(link, settings, reading_of(spec), exclusions, seconds)
            except TimeoutError:
                fault = SourceFault(Reason.TIMEOUT, f"no answer within {seconds:.0f} s")
            except SourceFault as found:
                fault = found
            if not isinstance(fault, _Slow):
                if fault.reason in SILENCE and away():
                    raise NotAsked("the operator came late to its own work") from None
                link.fail(fault)
            raise _explained(fault, settings, database)

    async def close(self) -> None:
        """Close every connection."""
        for link in self._links.values():
            link.drop()
        self._links.clear()

    def _close_idle(self, now: float) -> None:
        idle = [place for place, link in self._links.items() if now - link.asked_at > IDLE_SECONDS]
        for place in idle:
            self._links.pop(place).drop()


async def _ask(
    link: _Link, settings: ConnectSettings, reading: Reading, exclusions: Exclusions, seconds: float
) -> TableCount:
    if link.failure is not None and time.monotonic() - link.failed_at < SHARED_FAILURE_SECONDS:
        raise link.failure
    link.failure = None
    reused = link.connection is not None
    try:
        return await _look(link, settings, reading, exclusions, seconds)
    except SourceFault as fault:
        if not (reused and fault.reason == Reason.CONNECT_FAILED):
            raise
        # The server ended a connection that had been kept: that says nothing about whether it takes a new one.
        return await _look(link, settings, reading, exclusions, seconds)


async def _look(
    link: _Link, settings: ConnectSettings, reading: Reading, exclusions: Exclusions, seconds: float
) -> TableCount:
    """One look through the link's connection; what fails for anything but the table drops it."""
    try:
        if link.connection is None or link.connection.is_closed():
            link.connection = await connect(settings, application_name=APPLICATION_NAME, statement_timeout=seconds)
        return await _counted(link, link.connection, reading, exclusions, SERVERS_SHARE * seconds)
    except asyncpg.QueryCanceledError:
        raise _Slow(SERVERS_SHARE * seconds) from None
    except BaseException as error:
        fault = translate(error) if isinstance(error, Exception) else None
        if fault is None or fault.reason in CONNECTION_REASONS:
            link.drop()
        if fault is None:
            raise
        raise fault from None


async def _counted(
    link: _Link, connection: asyncpg.Connection, reading: Reading, exclusions: Exclusions, seconds: float
) -> TableCount:
    """The count; the table is verified where that was not done lately, or where counting brings up any doubt."""
    table, known = reading.table, link.tables.get(reading.table.qualified_name)
    if known is not None and known.reading == reading and time.monotonic() - known.at < VERIFY_SECONDS:
        try:
            plain = exclusions == NOTHING
            statement = known.statement if plain else _statement(table, known.shape, exclusions)
            found = await _count(connection, statement, exclusions, seconds)
        except asyncpg.PostgresError as error:
            if connection.is_closed() or isinstance(error, asyncpg.QueryCanceledError):
                raise
        else:
            if found is not None:
                return found
    link.tables.pop(table.qualified_name, None)
    shape = (await verify(connection, reading)).shape
    found = await _count(connection, _statement(table, shape, exclusions), exclusions, seconds)
    if found is None:
        raise SourceFault(Reason.READ_ONLY, "the server has just ceased to accept writes")
    link.tables[table.qualified_name] = _Known(reading, shape, _statement(table, shape, NOTHING), time.monotonic())
    return found


async def _count(
    connection: asyncpg.Connection, statement: str, exclusions: Exclusions, seconds: float
) -> TableCount | None:
    """The count; None where the server accepts no writes."""
    arguments: list[object] = [COUNT_LIMIT + 1]
    arguments += [[key[:KEY_LIMIT] for key in exclusions.keys]] if exclusions.keys else []
    arguments += [list(exclusions.rows)] if exclusions.rows else []
    # One trip to the server, where transaction() and a statement would be two.
    await connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {int(seconds * 1000)}")
    try:
        row = await connection.fetchrow(statement, *arguments)
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    if row["refuses_writes"]:
        return None
    age = None if row["oldest_age"] is None else float(row["oldest_age"])
    return TableCount(rows=min(row["rows"], COUNT_LIMIT), exact=row["rows"] <= COUNT_LIMIT, oldest_age=age)


def _statement(table: Table, shape: TableShape, exclusions: Exclusions) -> str:
    columns = table.layout
    filters, number = [], 2
    if exclusions.keys:
        key = f"t.{quoted(columns.key)}::text" if columns.key else "NULL::text"
        filters.append(f"({key} IS NULL OR left({key}, {KEY_LIMIT}) <> ALL(${number}::text[]))")
        number += 1
    if exclusions.rows:
        ids = "bigint[]" if shape.numeric_ids else "text[]::uuid[]"
        filters.append(f"t.{quoted(columns.id)} <> ALL(${number}::{ids})")
    created = f"t.{quoted(columns.created_at)}"
    # Both sides as seconds since 1970: a time without a zone is read as UTC, as the relay does.
    age = f"CASE WHEN isfinite({created}) THEN extract(epoch FROM now()) - extract(epoch FROM {created}) END"
    return sql("count_pending").format(
        table=f"{quoted(table.schema_)}.{quoted(table.name)}",
        order=order(table, shape),
        pending=f"t.{quoted(columns.delivered_at)} IS NULL" if table.after_delivery == "Mark" else "true",
        deliverable=" AND ".join(filters) or "true",
        age=age if columns.created_at else "NULL::numeric",
    )


def _explained(fault: SourceFault, settings: ConnectSettings, database: Database) -> SourceFault:
    """The fault with the name of the database, and what to look at."""
    hosts = ",".join(f"{host}:{port}" for host, port in settings.hosts)
    place = f"{hosts}/{settings.database}"
    if fault.reason == Reason.AUTHENTICATION_FAILED:
        message = f"role {settings.user} cannot log in to {place}: {fault.message}; check {_login(database)}"
    else:
        hint = "; create it, or correct spec.source.table" if fault.reason == Reason.TABLE_NOT_FOUND else ""
        message = f"{place}: {fault.message}{hint}"
    return SourceFault(fault.reason, message)


def _login(database: Database) -> str:
    if database.uri_secret_ref:
        return f"Secret {database.uri_secret_ref.name}, key {database.uri_secret_ref.key}"
    login = database.credentials_secret_ref
    return f"Secret {login.name}" if login else "spec.source.database"
