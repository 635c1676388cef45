"""Looks at the topic, and produces messages of it again."""

from __future__ import annotations

import random
import uuid
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition


class Topic:
    """The topic between relay and consumers; every call blocks."""

    def __init__(self, servers: str, name: str, group: str, partitions: int) -> None:
        self._name = name
        self._places = [TopicPartition(name, number) for number in range(partitions)]
        common = {"bootstrap.servers": servers, "log_level": 2}
        self._reader = Consumer({**common, "group.id": f"copier-{uuid.uuid4()}", "enable.auto.commit": False})
        self._asker = Consumer({**common, "group.id": group, "enable.auto.commit": False})
        self._producer = Producer(common)

    def copy(self, pick: int) -> int:
        """Produce 20 to 60 messages again, as they are and where they are; how many that were."""
        draw, copies = random.Random(pick), 0
        ends = {place.partition: self._end(place) for place in self._places}
        filled = [number for number, end in ends.items() if end]
        for _ in range(draw.randint(20, 60) if filled else 0):
            number = draw.choice(filled)
            place = TopicPartition(self._name, number, draw.randrange(ends[number]))
            self._reader.assign([place])
            message = self._reader.poll(10)
            if message is None or message.error():
                raise TimeoutError(f"no message at {place}: {message and message.error()}")
            options: dict[str, Any] = {"partition": number, "headers": message.headers()}
            self._producer.produce(self._name, message.value(), message.key(), **options)
            copies += 1
        self._producer.flush(20)
        return copies

    def size(self) -> int:
        """Messages in the topic."""
        return sum(map(self._end, self._places))

    def unread(self) -> int:
        """Messages that the group has not committed."""
        committed = {place.partition: max(place.offset, 0) for place in self._asker.committed(self._places, timeout=20)}
        return sum(self._end(place) - committed[place.partition] for place in self._places)

    def close(self) -> None:
        """End the clients."""
        self._reader.close()
        self._asker.close()

    def _end(self, place: TopicPartition) -> int:
        found = self._asker.get_watermark_offsets(place, timeout=20, cached=False)
        if found is None:
            raise TimeoutError(f"{place}: the broker does not answer")
        return int(found[1])
