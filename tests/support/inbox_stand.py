"""The inbox's worker in a thread, and events as a relay sends them."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
from confluent_kafka import Producer

from outboxrelay import inbox

from .relay_line import RelayLine


class Stand:
    """A worker in a thread."""

    def __init__(
        self,
        line: RelayLine,
        handler: Any,
        begin: Any = None,
        *,
        at_end: Callable[[], object] = lambda: None,
        **options: Any,
    ) -> None:
        settings = {"bootstrap.servers": line.servers, "group.id": f"g-{line.topic}", "fetch.wait.max.ms": 20}
        self.told: list[inbox.InboxError] = []
        self._at_end = at_end
        """Called last in the worker's thread, for sessions that belong to it."""

        self.worker = inbox.Worker(
            inbox.client({**settings, "log_level": 2}),
            [line.topic],
            name="c",
            begin=begin or (lambda: psycopg.connect(line.uri)),
            handler=handler,
            on_stopped=self.told.append,
            poll_seconds=0.1,
            **options,
        )

    def run(self) -> None:
        """The worker, until it is stopped."""
        try:
            self.worker.run()
        finally:
            self._at_end()

    async def until(self, condition: Any, seconds: float = 40) -> None:
        """Run it until ``condition()``; ``seconds`` is the end of patience."""
        running = asyncio.create_task(asyncio.to_thread(self.run))
        try:
            deadline = time.monotonic() + seconds
            while not condition() and time.monotonic() < deadline and not running.done():
                await asyncio.sleep(0.05)
            assert condition(), self.told
        finally:
            self.worker.stop()
            await running


def send(line: RelayLine, partition: int, *numbers: int, header: str = "number") -> None:
    """Events as a relay sends them, of key k<partition>."""
    producer = Producer({"bootstrap.servers": line.servers, "log_level": 2})
    for number in numbers:
        headers: Any = {"id": f"{partition}-{number}", "type": "T", header: str(number)}
        value = json.dumps({"number": number})
        producer.produce(line.topic, value, f"k{partition}", partition=partition, headers=headers)
    producer.flush(20)
