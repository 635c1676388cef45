#!/usr/bin/env python3
"""The floor under every throughput figure: a bare outbox drain without any feature.

Reads N rows in id order, produces them with two headers, waits for the broker, deletes them, with one
batch in flight while the next is read. No shards, no retries, no poison handling, no limits, no safety.
A relay's throughput is quoted as a share of this figure, measured in the same run on the same machine.

    floor.py --dsn postgresql://… --brokers host:port --topic T [--rows 300000] [--batch 5000]

Needs asyncpg and confluent-kafka. It creates and drops its own table, outbox_floor.
"""

import argparse
import asyncio
import time

import asyncpg
from confluent_kafka import Producer

DDL = """
DROP TABLE IF EXISTS outbox_floor;
CREATE TABLE outbox_floor (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, event_type text NOT NULL,
    payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
"""
FILL = """
INSERT INTO outbox_floor (aggregate_type, aggregate_id, event_type, payload)
SELECT 'order', 'o-' || (i % 10000), 'OrderPlaced',
       jsonb_build_object('order_id', i, 'customer', 'c-' || (i % 5000), 'amount', i * 1.25, 'note', repeat('x', 200))
FROM generate_series(1, $1::int) i
"""


async def drain(args: argparse.Namespace) -> float:
    reader, settler = await asyncpg.connect(args.dsn), await asyncpg.connect(args.dsn)
    await reader.execute(DDL)
    await reader.execute(FILL, args.rows)
    await reader.execute("VACUUM ANALYZE outbox_floor")
    producer = Producer(
        {
            "bootstrap.servers": args.brokers,
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
        }
    )
    failed: list[object] = []

    def report(error: object, _message: object) -> None:
        if error:
            failed.append(error)

    producer.produce(args.topic, b"warm-up")
    producer.flush()
    loop = asyncio.get_running_loop()

    async def publish_and_settle(rows: list[asyncpg.Record]) -> None:
        for row in rows:
            producer.produce(
                args.topic, row[4], row[2], on_delivery=report, headers=[("id", row[1].bytes), ("type", row[3])]
            )
        left = await loop.run_in_executor(None, producer.flush, 30)
        if left or failed:
            raise SystemExit(f"{left} undelivered, {failed[:1]}")
        await settler.execute("DELETE FROM outbox_floor WHERE id = ANY($1::bigint[])", [row[0] for row in rows])

    select = await reader.prepare(
        "SELECT id, event_id, aggregate_id, event_type, payload::text "
        "FROM outbox_floor WHERE id > $1 ORDER BY id LIMIT $2"
    )
    last, pending, started = 0, None, time.perf_counter()
    while rows := await select.fetch(last, args.batch):
        if pending:
            await pending
        last = rows[-1][0]
        pending = asyncio.create_task(publish_and_settle(rows))
    if pending:
        await pending
    seconds = time.perf_counter() - started
    left = await reader.fetchval("SELECT count(*) FROM outbox_floor")
    await reader.execute("DROP TABLE outbox_floor")
    await asyncio.gather(reader.close(), settler.close())
    if left:
        raise SystemExit(f"{left} rows left")
    return float(args.rows / seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=5_000)
    print(f"floor {asyncio.run(drain(parser.parse_args())):.0f} events/s")
