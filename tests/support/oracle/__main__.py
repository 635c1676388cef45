"""``python -m tests.support.oracle``: writes to a table that a relay reads, and judges what arrives.

The relay runs elsewhere. Exit code 0 = nothing lost, inverted or invented.
"""

import argparse
import asyncio
import sys

from . import Oracle, OutboxTable


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.oracle", description=__doc__)
    parser.add_argument("--uri", required=True, help="PostgreSQL URI of the outbox's database")
    parser.add_argument("--servers", required=True, help="Kafka bootstrap servers (PLAINTEXT)")
    parser.add_argument("--topic", required=True, help="an existing topic; what it holds already is skipped")
    parser.add_argument("--table", default="outbox", help="name of the outbox table (default: outbox)")
    parser.add_argument("--create-table", action="store_true", help="create the table first")
    parser.add_argument("--bulk", type=int, default=0, metavar="N", help="write N events by few statements")
    parser.add_argument("--events", type=int, default=1000, metavar="N", help="then N in small transactions")
    parser.add_argument("--per-second", type=float, default=None, metavar="R", help="at R events a second")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deadline", type=float, default=60, help="seconds to wait for the last event")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> int:
    """Write, wait, judge."""
    oracle = Oracle(
        options.uri,
        options.servers,
        options.topic,
        table=OutboxTable(options.table),
        from_now=True,
        keys=options.keys,
        seed=options.seed,
    )
    async with oracle:
        if options.create_table:
            await oracle.writer.create_table()
        await oracle.writer.bulk(options.bulk)
        await oracle.writer.write(options.events, per_second=options.per_second)
        verdict = await oracle.verdict(deadline=options.deadline)
    print(verdict.report())
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
