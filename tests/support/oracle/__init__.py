"""The oracle: the one checker behind every claim that no event is lost and each key keeps its order.

A writer commits numbered events to an outbox table as services do (many keys, interleaved and late commits,
rollbacks, bursts) and logs what the database confirmed. A consumer logs what arrives in the topic. The verdict
compares the two logs: lost, duplicates, inversions per key after dropping repeats, phantoms (arrived but never
committed), latency from commit to arrival.

    async with Oracle(uri, "kafka:9092", "orders.events", seed=7) as oracle:
        await oracle.writer.create_table()                  # where nobody else creates it
        await oracle.writer.bulk(100_000)                   # a backlog, by a few statements
        await oracle.writer.write(5_000, per_second=1_000)  # small transactions, some late, some rolled back
        await oracle.writer.late_commits(200)               # ids taken first, commits in random order
        async with oracle.writer.writing(per_second=200):   # in the background
            ...                                             # break something
        result = await oracle.verdict(deadline=60)
    print(result)            # oracle: committed 105,400, arrived 105,400, lost 0, …: PASS
    print(result.report())   # the same and examples of what failed: key, number, row, event, partition, offset
    sys.exit(result.exit_code)

The topic must exist. The relay must map columns and headers as spec.source.table does by default. The parts
are usable alone: ``Writer``, ``Consumer``, and the pure ``verdict(committed, arrived, may_wait)``.
`python -m tests.support.oracle --help` does the same from a shell.
"""

from .consumer import Consumer
from .events import Arrived, Committed
from .run import Oracle
from .table import OutboxTable
from .verdict import Inversion, Latency, Verdict, verdict
from .writer import Writer

__all__ = [
    "Arrived",
    "Committed",
    "Consumer",
    "Inversion",
    "Latency",
    "Oracle",
    "OutboxTable",
    "Verdict",
    "Writer",
    "verdict",
]
