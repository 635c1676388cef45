"""Both ends together: one run of events from a table to a topic, and its verdict."""

import asyncio
from collections.abc import Collection
from typing import Any, Self

from .consumer import Consumer
from .table import OutboxTable
from .verdict import Verdict, verdict
from .writer import Writer


class Oracle:
    """``async with Oracle(uri, servers, topic) as oracle:``; the topic and (unless created here) the table exist."""

    def __init__(
        self,
        uri: str,
        servers: str,
        topic: str,
        *,
        table: OutboxTable | None = None,
        from_now: bool = False,
        consumer_options: dict[str, Any] | None = None,
        **writer_options: Any,
    ) -> None:
        self.writer = Writer(uri, table, **writer_options)
        self.consumer = Consumer(servers, topic, from_now=from_now, options=consumer_options)

    async def __aenter__(self) -> Self:
        await self.writer.__aenter__()
        await asyncio.to_thread(self.consumer.__enter__)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.consumer.__exit__)
        await self.writer.__aexit__()

    async def delivered(self, share: float, deadline: float = 60) -> bool:
        """Whether ``share`` (0 to 1) of what is committed by now arrived within ``deadline`` seconds."""
        goal = share * len(self.writer.committed)
        return await asyncio.to_thread(self.consumer.wait_until, lambda: len(self.consumer.ids) >= goal, deadline, 0.02)

    async def verdict(self, *, deadline: float = 60, quiet: float = 1.0, may_wait: Collection[str] = ()) -> Verdict:
        """Wait until all that was committed has arrived and the topic is quiet, or ``deadline``; then judge."""
        waiting = frozenset(may_wait)
        wanted = {event.event_id for event in self.writer.committed} - waiting
        await asyncio.to_thread(self.consumer.wait_for, wanted, deadline)
        await asyncio.to_thread(self.consumer.wait_for_end, quiet=quiet)
        return verdict(self.writer.committed, list(self.consumer.arrived), waiting)
