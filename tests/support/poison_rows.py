"""Twenty rows that cannot be sent, of five causes, among many that can: how they are made, what may wait for them, how
each cause is mended, in the table or by the spec and the topics, and what a replay promises.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from .oracle import Arrived, Committed

POISON = 20
TOPIC_BYTES = "20000"
"""max.message.bytes of the topic."""
COLUMNS = (
    "ALTER TABLE outbox ALTER payload DROP NOT NULL, ADD region text NOT NULL DEFAULT '', ADD partition integer",
    "CREATE TABLE as_meant AS TABLE outbox WITH NO DATA",
)
"""On top of the oracle's table; ``as_meant`` keeps the rows as they should have been."""
CAUSES = (
    "payload = payload || jsonb_build_object('filler', repeat('x', 30000))",
    "payload = NULL",
    "headers = '[1]'",
    "region = 'secret'",
    "partition = -1",
)
"""Too large for the topic, nothing to send, headers that are no object, a topic that is not allowed, no partition."""
SECRET = "secret"


def chosen(rows: Sequence[Committed], keys: int, *, per_key: int = 1) -> list[Committed]:
    """POISON of ``rows``, which go round over ``keys`` keys: evenly spread, ``per_key`` of each key that has any."""
    with_poison = POISON // per_key
    return [rows[n * len(rows) // POISON // keys * keys + n % with_poison] for n in range(POISON)]


async def spoil(session: Any, poison: Sequence[Committed]) -> None:
    """Give each of ``poison`` one of the causes, so that two of one key have different ones."""
    ids = [event.row_id for event in poison]
    await session.execute("INSERT INTO as_meant SELECT * FROM outbox WHERE id = ANY($1)", ids)
    for n, row_id in enumerate(ids):
        cause = CAUSES[(n + n // 10) % len(CAUSES)]
        await session.execute(f"UPDATE outbox SET {cause} WHERE id = $1", row_id)


async def mend_rows(session: Any) -> None:
    """In the table: the rows as they should have been."""
    await session.execute(
        "UPDATE outbox o SET payload = m.payload, headers = m.headers, region = m.region, partition = m.partition "
        "FROM as_meant m WHERE o.id = m.id"
    )


async def mend_topics(servers: str, topic: str) -> None:
    """The other half of what ``spec`` mends: the topic takes large rows, and the one that was not allowed is there."""
    client = AdminClient({"bootstrap.servers": servers})
    entry = ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    [altered] = client.incremental_alter_configs([resource]).values()
    [made] = client.create_topics([NewTopic(topic + SECRET, 1, 1)]).values()
    for future in (altered, made):
        await asyncio.to_thread(future.result, 30)


def spec(topic: str, *, mended: bool = False, **poison: Any) -> dict[str, Any]:
    """The part of an OutboxRelay's spec under which the causes are causes, or, ``mended``, are none any more."""
    allowed = [topic, topic + SECRET] if mended else [topic]
    target = {"topic": None, "topicTemplate": f"{topic}{{region}}", "allowedTopics": allowed}
    if mended:
        return {"target": {**target, "nullPayload": "Tombstone"}, "poison": poison}
    columns = {"headers": "headers", "partition": "partition"}
    return {"source": {"table": {"columns": columns}}, "target": target, "poison": poison}


def behind(rows: Iterable[Committed], poison: Iterable[Committed]) -> frozenset[str]:
    """Ids of the events that may wait while keys are held: each poison row and what comes after it in its key."""
    first: dict[str | None, int] = {}
    for event in poison:
        first[event.key] = min(event.row_id, first.get(event.key, event.row_id))
    return frozenset(event.event_id for event in rows if event.row_id >= first.get(event.key, event.row_id + 1))


def replay_problems(arrived: Iterable[Arrived], poison: Collection[Committed]) -> Iterator[str]:
    """What is wrong with a replay of all of ``poison`` after every other row of the table had arrived.

    Each comes once, after all other rows of its key in its partition, and those of one key in the order of their ids.
    """
    replayed = {event.event_id: event for event in poison}
    places: dict[str, Arrived] = {}
    latest: dict[tuple[str | None, int], Arrived] = {}
    for record in arrived:
        if record.event_id not in replayed:
            latest[record.key, record.partition] = record
        elif record.event_id in places:
            yield f"twice: {record}"
        else:
            places[record.event_id] = record
    yield from (f"missing: {event}" for event in poison if event.event_id not in places)
    for record in places.values():
        other = latest.get((record.key, record.partition))
        if other is not None and other.offset > record.offset:
            yield f"not last of its key: {record} came before {other}"
    yield from _inverted(sorted(places.values(), key=lambda record: (record.partition, record.offset)), replayed)


def _inverted(records: Iterable[Arrived], replayed: dict[str, Committed]) -> Iterator[str]:
    last: dict[tuple[str | None, int], int] = {}
    for record in records:
        row_id = replayed[record.event_id].row_id
        if row_id < last.get((record.key, record.partition), row_id):
            yield f"out of order among the replayed: {record}"
        last[record.key, record.partition] = row_id
