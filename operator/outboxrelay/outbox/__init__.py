"""The producer's end: write an event in the transaction that changes what it tells of.

    from outboxrelay import outbox

    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("UPDATE orders SET state = 'paid' WHERE id = $1", 7)
        await outbox.publish(conn, "OrderPaid", "order-7", {"id": 7})

``publish`` takes sessions of asyncpg, psycopg (AsyncConnection) and SQLAlchemy (AsyncSession, AsyncConnection);
``publish_sync`` those of psycopg, SQLAlchemy and Django (django.db.connection). Both call the function that
`outboxrelay sql --part publish` prints, with the trace context of the current OpenTelemetry span.

Importing this loads no driver and nothing else of outboxrelay.
"""

from outboxrelay.outbox.calls import OUTBOX_PUBLISH
from outboxrelay.outbox.errors import NotInTransaction, UnknownConnection
from outboxrelay.outbox.publishing import CURRENT, publish, publish_sync
from outboxrelay.outbox.trace import current_traceparent

__all__ = [
    "CURRENT",
    "OUTBOX_PUBLISH",
    "NotInTransaction",
    "UnknownConnection",
    "current_traceparent",
    "publish",
    "publish_sync",
]
