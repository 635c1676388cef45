#!/usr/bin/env python3
"""The textbook relay: lock some rows, produce them, wait for the broker, delete them, commit; again.

SELECT … FOR UPDATE SKIP LOCKED in a transaction that is held while producing, as articles on the outbox pattern show
it. Headers, timestamp and producer are the relay's own, so that only the way of taking rows differs.

    loop.py --dsn postgresql://… --brokers host:port --topic T --batch 100

Needs asyncpg and confluent-kafka. It drains the table outbox_drain, which must be there.
"""

import argparse
import asyncio
import time

import asyncpg
from confluent_kafka import Producer

SELECT = """
SELECT id, event_id::text, aggregate_id, event_type, payload::text,
       (extract(epoch FROM created_at) * 1000)::bigint AS milliseconds
FROM outbox_drain ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
DELETE = "DELETE FROM outbox_drain WHERE id = ANY($1::bigint[])"


async def drain(args: argparse.Namespace) -> float:
    connection = await asyncpg.connect(args.dsn)
    producer = Producer(
        {
            "bootstrap.servers": args.brokers,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
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
    select, delete = await connection.prepare(SELECT), await connection.prepare(DELETE)
    rows, started = 0, time.perf_counter()
    while True:
        async with connection.transaction():
            found = await select.fetch(args.batch)
            for row_id, event_id, key, kind, payload, milliseconds in found:
                producer.produce(
                    args.topic,
                    payload,
                    key,
                    on_delivery=report,
                    timestamp=milliseconds,
                    headers=[("id", event_id), ("type", kind), ("sequence", str(row_id))],
                )
            if producer.flush(30) or failed:
                raise SystemExit(f"undelivered: {failed[:1]}")
            await delete.fetch([row[0] for row in found])
        rows += len(found)
        if not found:
            break
    seconds = time.perf_counter() - started
    await connection.close()
    return float(rows / seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--batch", type=int, required=True)
    print(f"loop {asyncio.run(drain(parser.parse_args())):.0f} events/s")
