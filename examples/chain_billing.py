"""The service billing of examples/chain.yaml: reads orders.events, writes an invoice and an event of its own for each.

The id of the event, the invoice and the row of the outbox are written in one transaction, so that an event that arrives
twice makes one invoice, whatever is killed when. Run it where psycopg and this project are installed, as they are in
`.venv` after `make .venv/.complete`:

    BILLING_URI=postgresql://billing@db/billing KAFKA=kafka:9092 python examples/chain_billing.py
"""

import os
import signal

import psycopg

from outboxrelay import inbox, outbox


def handle(conn: psycopg.Connection, event: inbox.Event) -> None:
    """One order, which was not processed before."""
    order = event.json()
    conn.execute("INSERT INTO invoices (order_id, total) VALUES (%s, %s)", [event.key, order["total"]])
    outbox.publish_sync(conn, "InvoiceWritten", event.key, {"order": event.key, "total": order["total"]})


def main() -> None:
    """Until SIGTERM or Ctrl-C."""
    worker = inbox.Worker(
        inbox.client({"bootstrap.servers": os.environ["KAFKA"], "group.id": "billing"}),
        ["orders.events"],
        name="billing",
        begin=lambda: psycopg.connect(os.environ["BILLING_URI"]),
        handler=handle,
    )
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
