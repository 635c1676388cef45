"""How fast the relay drains a backlog against Debezium in Kafka Connect with its outbox router, in turns.

The same rows, topic layout, headers (id and type) and stop-watch. Debezium reads what was committed while its
connector was stopped, as the relay reads what was committed before it started. In its favour: the worker runs already
and is warm, while the relay's start as a process counts.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals, Drain
from tests.benchmarks.connect import Connect
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

WARM_UP_ROWS = 100_000
DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"


async def measure(folder: Path, rows: int, pairs: int) -> dict[str, float]:
    """The medians of ``pairs`` pairs."""
    found: list[tuple[Drain, Drain]] = []
    with Connect(folder) as connect:
        await drain_by_debezium(connect, min(rows, WARM_UP_ROWS), "warm-up")
        for number in range(pairs):
            peer = await drain_by_debezium(connect, rows, f"drain-{number}")
            relay = await drain_by_relay(folder, rows, f"versus-debezium-{number}")
            found.append((peer, relay))
            print(
                f"  pair {number + 1}: Debezium {peer.whole:,.0f}/s whole, {peer.steady:,.0f}/s steady; "
                f"relay {relay.whole:,.0f}/s whole, {relay.steady:,.0f}/s steady; "
                f"{relay.whole / peer.whole:.2f} times and {relay.steady / peer.steady:.2f} times",
                flush=True,
            )
    return {
        "throughput_vs_debezium": _median([relay.whole / peer.whole for peer, relay in found], 2),
        "throughput_vs_debezium_steady": _median([relay.steady / peer.steady for peer, relay in found], 2),
        "debezium_per_s": _median([peer.whole for peer, _ in found]),
        "debezium_steady_per_s": _median([peer.steady for peer, _ in found]),
        "relay_whole_per_s": _median([relay.whole for _, relay in found]),
        "relay_steady_per_s": _median([relay.steady for _, relay in found]),
    }


async def drain_by_debezium(connect: Connect, rows: int, name: str) -> Drain:
    """A connector of its own, with a replication slot that begins right before the backlog."""
    topic = servers.create_topic()
    async with backlog.empty_table() as (uri, session):
        slot = f"bench_{topic.removeprefix('bench-')}"
        connect.create(name, connector(uri, topic, slot))
        try:
            arrivals = Arrivals(topic)
            await backlog.fill(session, 1)
            arrivals.watch(1, time.perf_counter(), seconds=60)  # the whole way works
            connect.stop(name)
            await _unused(session, slot)
            await backlog.fill(session, rows)
            before, began = arrivals.count(), time.perf_counter()
            connect.resume(name)
            drain = arrivals.watch(rows, began, before)
            connect.wait_for(name, "RUNNING")
        finally:
            connect.delete(name)
            await _unused(session, slot)
            await session.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", slot
            )
    servers.delete_topic(topic)
    return drain


async def drain_by_relay(folder: Path, rows: int, name: str) -> Drain:
    """One relay process, from its start."""
    topic = servers.create_topic()
    async with backlog.empty_table() as (uri, session):
        await backlog.fill(session, rows + 1)
        arrivals, began = Arrivals(topic), time.perf_counter()
        config = manifest(table=backlog.TABLE, topic=topic, servers=servers.KAFKA)
        with RelayProcess(folder, config, uri, name):
            drain = arrivals.watch(rows, began)
    servers.delete_topic(topic)
    return drain


def connector(uri: str, topic: str, slot: str) -> dict[str, str]:
    """Debezium's settings: larger batches and shorter pauses than its own defaults, which are slower."""
    return {
        **source_of(uri),
        "topic.prefix": topic,
        "slot.name": slot,
        "publication.name": slot,
        "publication.autocreate.mode": "filtered",
        "table.include.list": f"public.{backlog.TABLE}",
        "snapshot.mode": "no_data",
        "tombstones.on.delete": "false",
        "max.batch.size": "8192",
        "max.queue.size": "32768",
        "poll.interval.ms": "10",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.table.field.event.id": "event_id",
        "transforms.outbox.table.field.event.key": "aggregate_id",
        "transforms.outbox.table.field.event.payload": "payload",
        "transforms.outbox.table.fields.additional.placement": "event_type:header:type",
        "transforms.outbox.route.by.field": "aggregate_type",
        "transforms.outbox.route.topic.replacement": topic,
    }


def source_of(uri: str) -> dict[str, str]:
    """The part of a connector's settings that says which database it reads."""
    parts = urlsplit(uri)
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": str(parts.hostname),
        "database.port": str(parts.port),
        "database.user": str(parts.username),
        "database.password": str(parts.password),
        "database.dbname": parts.path.removeprefix("/"),
        "plugin.name": "pgoutput",
    }


async def _unused(session: Any, slot: str) -> None:
    """Wait until nobody reads from the slot."""
    while await session.fetchval("SELECT active FROM pg_replication_slots WHERE slot_name = $1", slot):
        time.sleep(0.1)


def _median(values: list[float], digits: int = 0) -> float:
    return round(statistics.median(values), digits or None)
