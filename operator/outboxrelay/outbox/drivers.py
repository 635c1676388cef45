"""One statement on a session of any driver that is known here. No driver is imported: who has a session has done it."""

import sys
from collections.abc import Callable
from typing import Any, Final

from outboxrelay.outbox.calls import Call
from outboxrelay.outbox.errors import NotInTransaction, UnknownConnection

IDLE: Final = 0
"""psycopg.pq.TransactionStatus.IDLE"""


async def run_async(conn: Any, call: Call, *, must_be_in_transaction: bool = True) -> Any:
    """The one value of ``call``; raises UnknownConnection, NotInTransaction and what the driver raises."""
    driver = driver_of(conn)
    if driver == "asyncpg":
        if must_be_in_transaction and not conn.is_in_transaction():
            raise _not_in_transaction(call, "async with conn.transaction():")
        text = call.text({a.name: f"${number}::text" for number, a in enumerate(call.arguments, 1)})
        return await conn.fetchval(text, *(a.value for a in call.arguments))
    if driver == "psycopg" and hasattr(conn, "__aenter__"):
        text, values = _psycopg(conn, call, must_be_in_transaction)
        async with conn.cursor(row_factory=_tuples()) as cursor:
            await cursor.execute(text, values)
            return (await cursor.fetchone())[0]
    if driver == "sqlalchemy" and hasattr(conn, "run_sync"):
        return (await conn.execute(*_sqlalchemy(call))).scalar_one()
    raise _unknown(conn, "asyncpg, psycopg.AsyncConnection, or SQLAlchemy's AsyncSession or AsyncConnection")


def run(conn: Any, call: Call, *, must_be_in_transaction: bool = True) -> Any:
    """The same for sessions that are not asynchronous."""
    driver = driver_of(conn)
    if driver == "psycopg" and not hasattr(conn, "__aenter__"):
        text, values = _psycopg(conn, call, must_be_in_transaction)
        with conn.cursor(row_factory=_tuples()) as cursor:
            cursor.execute(text, values)
            return cursor.fetchone()[0]
    if driver == "sqlalchemy" and not hasattr(conn, "run_sync"):
        return conn.execute(*_sqlalchemy(call)).scalar_one()
    if driver == "django":
        if must_be_in_transaction and not conn.in_atomic_block and conn.get_autocommit():
            raise _not_in_transaction(call, "with transaction.atomic():")
        with conn.cursor() as cursor:
            cursor.execute(*_percent(call))
            return cursor.fetchone()[0]
    raise _unknown(conn, "psycopg.Connection, SQLAlchemy's Session or Connection, or django.db.connection")


def driver_of(conn: Any) -> str:
    """The package that made ``conn``: of its class, or one that it inherits from."""
    known = ("asyncpg", "psycopg", "sqlalchemy", "django")
    roots = (cls.__module__.partition(".")[0] for cls in type(conn).__mro__)
    return next((root for root in roots if root in known), "")


def _psycopg(conn: Any, call: Call, must_be_in_transaction: bool) -> tuple[str, list[str | None]]:
    if must_be_in_transaction and conn.autocommit and conn.info.transaction_status == IDLE:
        raise _not_in_transaction(call, "with conn.transaction():")
    return _percent(call)


def _tuples() -> Callable[..., Any]:
    rows: Callable[..., Any] = sys.modules["psycopg.rows"].tuple_row
    return rows


def _percent(call: Call) -> tuple[str, list[str | None]]:
    """For drivers that read %s: % in names is doubled."""
    marks = {a.name: "\0" for a in call.arguments}
    return call.text(marks).replace("%", "%%").replace("\0", "%s"), [a.value for a in call.arguments]


def _sqlalchemy(call: Call) -> tuple[Any, dict[str, str | None]]:
    """sqlalchemy.text() reads :name as a parameter: colons in names are escaped."""
    marks = {a.name: f"\0p{number}" for number, a in enumerate(call.arguments)}
    text = call.text(marks).replace(":", "\\:").replace("\0", ":")
    values = {f"p{number}": a.value for number, a in enumerate(call.arguments)}
    return sys.modules["sqlalchemy"].text(text), values


def _not_in_transaction(call: Call, how: str) -> NotInTransaction:
    return NotInTransaction(
        f"{call.place} was called outside a transaction, so it would not be undone with the change that it belongs to: "
        f"begin one first ({how})"
    )


def _unknown(conn: Any, wanted: str) -> UnknownConnection:
    kind = f"{type(conn).__module__}.{type(conn).__qualname__}"
    other = "publish and accept take asynchronous sessions, publish_sync and accept_sync the others"
    return UnknownConnection(f"{kind} cannot be used here: give {wanted}; {other}")
