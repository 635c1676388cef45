"""The consumer's end: process each event once, though it may arrive more than once.

    from outboxrelay import inbox

    def handle(conn, event):
        conn.execute("INSERT INTO shipments (order_id) VALUES (%s)", [event.json()["id"]])

    worker = inbox.Worker(
        inbox.client({"bootstrap.servers": "kafka:9092", "group.id": "shipping"}),
        ["orders.events"], name="shipping", begin=lambda: psycopg.connect(URI), handler=handle)
    worker.run()

The handler runs in the transaction in which the event's id is noted in outboxrelay.inbox: both are committed, or
neither, and an id that is there is dropped. The tables are those that `outboxrelay sql --part inbox` prints.

Importing this loads no driver and no confluent_kafka.
"""

from outboxrelay.inbox.accepting import accept, accept_sync, missed, missed_sync
from outboxrelay.inbox.client import client, settings_of
from outboxrelay.inbox.errors import (
    ConsumerFailed,
    InboxError,
    InvalidSettings,
    NotAnEvent,
    PartitionStopped,
    SequenceGap,
)
from outboxrelay.inbox.events import Event, event_of
from outboxrelay.inbox.policy import Retry
from outboxrelay.inbox.sessions import begin_django
from outboxrelay.inbox.worker import Worker

__all__ = [
    "ConsumerFailed",
    "Event",
    "InboxError",
    "InvalidSettings",
    "NotAnEvent",
    "PartitionStopped",
    "Retry",
    "SequenceGap",
    "Worker",
    "accept",
    "accept_sync",
    "begin_django",
    "client",
    "event_of",
    "missed",
    "missed_sync",
    "settings_of",
]
