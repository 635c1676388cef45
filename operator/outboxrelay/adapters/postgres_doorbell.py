"""The doorbell: a trigger that notifies while this process says, in a table, that it sleeps."""

import asyncio
import time

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.source import Table

LASTS_SECONDS = 30.0
"""A sleep asks for so much more than it needs: what follows within need not write. A process that dies leaves its
writers ringing for nobody no longer than that and one sleep."""
MARGIN_SECONDS = 0.5
"""The server's flag outlives what is known of it here."""


class PostgresDoorbell:
    """Satisfies the relay's Doorbell; one flag for each process, which runs out by itself."""

    def __init__(self, control: PostgresControl, table: Table, listener: str, lasts: float = LASTS_SECONDS) -> None:
        self._control = control
        self._table = table
        self._listener = listener
        self._lasts = lasts
        self._table_id = 0
        self._until = 0.0
        self.rung = asyncio.Event()

    async def open(self) -> str | None:
        """Listen; None where that works, else why not. May be asked again and again. Raises SourceFault."""
        layout = self._table.layout
        found = await self._control.fetch(sql("describe_outbox"), self._table.schema_, self._table.name, layout.id)
        tables = {row["name"]: row for row in await self._control.fetch(sql("describe_schema"))}
        bell = tables["doorbell"]
        if not found or not found[0]["has_doorbell"] or not bell["found"]:
            return f"no doorbell hangs at {self._table.qualified_name}, so it is polled; `outboxrelay sql` prints one"
        if not bell["schema_usage"] or bell["lacking"]:
            lacking = ", ".join(bell["lacking"]) or "USAGE on the schema"
            return f'the doorbell is not used: grant {lacking} on outboxrelay.doorbell to "{bell["role"]}"'
        self._table_id = found[0]["table_id"]
        if await self._control.listen(f"outboxrelay_{self._table_id}", self.rung.set):
            # Another session, and perhaps a server that lost the flag: the table is not logged.
            self._until = 0.0
            await self._control.fetch(sql("doorbell_tidy"))
        return None

    async def sleep(self, seconds: float) -> bool:
        """Ask to be woken in the next ``seconds``; whether writers were asked already. Raises SourceFault."""
        now = time.monotonic()
        asked = now < self._until
        if self._until < now + seconds:
            lasts = seconds + self._lasts
            await self._control.fetch(sql("doorbell_sleep"), self._table_id, self._listener, lasts + MARGIN_SECONDS)
            self._until = now + lasts
        return asked

    async def wake(self) -> None:
        """Do not ask any more; raises SourceFault."""
        if self._until:
            self._until = 0.0
            await self._control.fetch(sql("doorbell_wake"), self._table_id, self._listener)
