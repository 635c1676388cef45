"""The inbox's functions in the database, for consumers that have a loop of their own."""

from typing import Any

from outboxrelay.outbox.calls import Argument, Call
from outboxrelay.outbox.drivers import run, run_async


def accept_sync(conn: Any, event_id: str, consumer: str) -> bool:
    """Whether ``consumer`` has not processed the event yet; call it first in the transaction that does.

    It waits while another transaction has accepted it and is open. ``conn`` is a session of psycopg, SQLAlchemy or
    Django; raises outboxrelay.outbox.NotInTransaction and UnknownConnection, and what the driver raises.
    """
    return bool(run(conn, accept_call(event_id, consumer)))


async def accept(conn: Any, event_id: str, consumer: str) -> bool:
    """The same for sessions of asyncpg, psycopg (AsyncConnection) and SQLAlchemy (AsyncSession, AsyncConnection)."""
    return bool(await run_async(conn, accept_call(event_id, consumer)))


def missed_sync(conn: Any, consumer: str, key: str, number: int) -> int | None:
    """How many numbers of ``key`` are missing before ``number``; None where it came after a later one.

    Call it once for each event, after it was accepted, in the same transaction.
    """
    found = run(conn, missed_call(consumer, key, number))
    return None if found is None else int(found)


async def missed(conn: Any, consumer: str, key: str, number: int) -> int | None:
    """The same for asynchronous sessions."""
    found = await run_async(conn, missed_call(consumer, key, number))
    return None if found is None else int(found)


def accept_call(event_id: str, consumer: str) -> Call:
    """outboxrelay.inbox_accept."""
    arguments = (Argument("event_id", "text", event_id), Argument("consumer", "text", consumer))
    return Call(("outboxrelay", "inbox_accept"), arguments)


def missed_call(consumer: str, key: str, number: int) -> Call:
    """outboxrelay.inbox_missed."""
    arguments = (
        Argument("consumer", "text", consumer),
        Argument("key", "text", key),
        Argument("number", "bigint", str(number)),
    )
    return Call(("outboxrelay", "inbox_missed"), arguments)
