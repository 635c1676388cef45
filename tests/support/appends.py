"""When the broker appended each record: a stop-watch that costs nothing while it runs, for it is read afterwards."""

import time
import uuid
from collections.abc import Collection, Iterable, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from .oracle import Arrived
from .oracle.consumer import arrived

TOPIC = {"message.timestamp.type": "LogAppendTime"}
"""Settings of a topic whose records tell when they were appended, by the broker's clock, in milliseconds."""
PARTITIONS_APART = 1000
"""The partitions of the second topic count from here, so that those of two topics never meet."""
READ_SECONDS = 60.0
AT_ONCE = 5000


def appends(servers: str, topics: Sequence[str]) -> list[Arrived]:
    """All that ``topics`` hold now, ascending within each partition; ``arrived_at`` is the time of the append.

    Raises TimeoutError where the broker does not hand it out within READ_SECONDS.
    """
    places = {topic: number * PARTITIONS_APART for number, topic in enumerate(topics)}
    settings = {"bootstrap.servers": servers, "group.id": f"appends-{uuid.uuid4()}", "enable.auto.commit": False}
    client = Consumer({**settings, "log_level": 2})
    try:
        ends = {
            (topic, number): client.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for topic in topics
            for number in client.list_topics(topic, timeout=10).topics[topic].partitions
        }
        left = {place for place, end in ends.items() if end}
        client.assign([TopicPartition(topic, number, 0) for topic, number in left])
        found: list[Arrived] = []
        deadline = time.monotonic() + READ_SECONDS
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} records of {', '.join(topics)} after {READ_SECONDS:.0f} s")
            for message in client.consume(AT_ONCE, timeout=0.2):
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                record = arrived(message, message.timestamp()[1] / 1000)
                place = (message.topic() or "", record.partition)
                found.append(record._replace(partition=places[place[0]] + record.partition))
                if record.offset + 1 >= ends[place]:
                    left.discard(place)
        return found
    finally:
        client.close()


def topic_number(record: Arrived) -> int:
    """Which of the topics that were asked for holds the record."""
    return record.partition // PARTITIONS_APART


def span(records: Iterable[Arrived], ids: Collection[str] | None = None) -> float:
    """Seconds from the first append of all to the last first append of the events ``ids`` (None: of any).

    Raises LookupError where none of them is there.
    """
    first: dict[str, float] = {}
    began = None
    for record in records:
        began = record.arrived_at if began is None else min(began, record.arrived_at)
        if (ids is None or record.event_id in ids) and record.event_id not in first:
            first[record.event_id] = record.arrived_at
    if began is None or not first:
        raise LookupError("none of these events is there")
    return max(first.values()) - began
