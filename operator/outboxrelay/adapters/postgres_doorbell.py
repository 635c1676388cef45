"""The doorbell: a trigger that notifies while this process says, in a table, that it sleeps."""

import asyncio
import time

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.source import Table

SLEEP = """
INSERT INTO outboxrelay.doorbell (table_id, listener, until)
VALUES ($1::bigint::oid, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (table_id, listener) DO UPDATE SET until = excluded.until
"""
WAKE = "UPDATE outboxrelay.doorbell SET until = '-infinity' WHERE table_id = $1::bigint::oid AND listener = $2"
TIDY = "DELETE FROM outboxrelay.doorbell WHERE until < now() - interval '1 hour'"
MARGIN_SECONDS = 0.5


class PostgresDoorbell:
    """Satisfies the relay's Doorbell; one flag for each process."""

    def __init__(self, control: PostgresControl, table: Table, listener: str) -> None:
        self._control = control
        self._table = table
        self._listener = listener
        self._table_id = 0
        self._until = 0.0
        self.rung = asyncio.Event()

    async def open(self) -> str | None:
        """Listen; None where that works, else why not. Raises SourceFault."""
        self._until = 0.0
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
        await self._control.listen(f"outboxrelay_{self._table_id}", self.rung.set)
        await self._control.fetch(TIDY)
        return None

    async def sleep(self, seconds: float) -> None:
        """Ask to be woken in the next ``seconds``; raises SourceFault."""
        now = time.monotonic()
        if self._until < now + seconds:
            # Asked for a little longer, so that the next sleep of the same length need not write.
            await self._control.fetch(SLEEP, self._table_id, self._listener, 2 * seconds + MARGIN_SECONDS)
            self._until = now + 2 * seconds

    async def wake(self) -> None:
        """Do not ask any more; raises SourceFault."""
        if self._until:
            self._until = 0.0
            await self._control.fetch(WAKE, self._table_id, self._listener)
