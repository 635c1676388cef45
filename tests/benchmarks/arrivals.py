"""When messages arrived in a topic, by its end offsets: the same stop-watch for every sender."""

from __future__ import annotations

import time
from typing import NamedTuple

from confluent_kafka import TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from tests.benchmarks import servers

LOOK_SECONDS = 0.02


class Drain(NamedTuple):
    """One backlog on its way to a topic; times in seconds of time.perf_counter."""

    rows: int
    began: float
    first: float
    """When the first messages were seen,"""
    already: int
    """and how many they were."""
    last: float

    @property
    def whole(self) -> float:
        """Rows per second from the start to the last message."""
        return self.rows / (self.last - self.began)

    @property
    def steady(self) -> float:
        """Rows per second from the first message to the last."""
        if self.last <= self.first:
            # All of it was there at the first look: too little to have a steady part.
            return self.whole
        return (self.rows - self.already) / (self.last - self.first)


class Arrivals:
    """Counts what is in a topic."""

    def __init__(self, topic: str, partitions: int = servers.PARTITIONS) -> None:
        self._client = servers.admin()
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        self._asked = {TopicPartition(topic, number): newest for number in range(partitions)}

    def count(self) -> int:
        """Messages so far."""
        answers = self._client.list_offsets(self._asked)
        return sum(future.result(30).offset for future in answers.values())

    def watch(self, rows: int, began: float, before: int = 0, seconds: float = 300) -> Drain:
        """Wait until there are ``rows`` more than ``before``; raises SystemExit where they do not come."""
        first, already = 0.0, 0
        while (found := self.count() - before) < rows:
            now = time.perf_counter()
            if now - began > seconds:
                raise SystemExit(f"{found} of {rows} messages after {seconds:.0f} s")
            if found and not already:
                first, already = now, found
            time.sleep(LOOK_SECONDS)
        last = time.perf_counter()
        return Drain(rows, began, first or last, already, last)
