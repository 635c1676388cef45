"""A consumer that keeps whole records, which the oracle does not need."""

import asyncio
from typing import Any

from confluent_kafka import Message

from .oracle.consumer import Consumer


class Records(Consumer):
    """The oracle's consumer with ``records``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.records: list[Message] = []

    def _take(self, message: Message) -> None:
        super()._take(message)
        if message.error() is None:
            self.records.append(message)


async def records_of(servers: str, topic: str, count: int) -> list[Message]:
    """At least ``count`` records of ``topic``, by partition and offset."""
    with Records(servers, topic) as consumer:
        assert await asyncio.to_thread(consumer.wait_until, lambda: len(consumer.records) >= count, 30)
        return sorted(consumer.records, key=lambda record: (record.partition() or 0, record.offset() or 0))


def headers_of(record: Message) -> dict[str, str]:
    """Headers as texts, the last of each name."""
    found: list[tuple[str, bytes | None]] = list(record.headers() or [])  # type: ignore[arg-type]
    return {name: (value or b"").decode() for name, value in found}
