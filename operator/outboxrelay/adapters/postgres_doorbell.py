"""The doorbell: a trigger that notifies while this session, or another relay's, holds advisory locks that say so.

A writer tries to share the lock of its bucket, which its process id picks, until its transaction ends. Where it may
not, somebody sleeps, and it rings. So a session that has taken the lock of a bucket knows that no writer of it is in
the middle of a transaction: what they inserted is committed and may be read, and all that comes later rings. There are
several buckets so that a transaction that stays open keeps only the writers of its own from being asked.
"""

import asyncio

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.source import Table
from outboxrelay.decisions.waking import Asked

LOCK_CLASS = 1652845568
"""First half of the locks' keys, plus the bucket; the second is the table's oid. sql/schema/schema.sql has the same."""
ALL = frozenset(range(4))
"""The buckets."""


class PostgresDoorbell:
    """Satisfies the relay's Doorbell."""

    def __init__(self, control: PostgresControl, table: Table) -> None:
        self._control = control
        self._table = table
        self._table_id = 0
        self._session = 0
        self._held: frozenset[int] = frozenset()
        """Buckets whose lock ``_session`` has."""
        self._elsewhere: frozenset[int] = frozenset()
        """Buckets whose writers another session asks; it notifies when it stops."""
        self._unsure = False
        """A statement failed, so ``_session`` may have locks that are not in ``_held``, each once."""
        self.rung = asyncio.Event()
        self.rings = 0

    async def open(self) -> str | None:
        """Listen; None where that works, else why not. May be asked again and again. Raises SourceFault."""
        name = self._table.qualified_name
        found = await self._control.fetch(
            sql("doorbell_describe"), self._table.schema_, self._table.name, str(LOCK_CLASS)
        )
        if not found or not found[0]["hangs"]:
            return f"no doorbell hangs at {name}, so it is polled; `outboxrelay sql` prints one"
        if not found[0]["current"]:
            return f"the doorbell of {name} is another release's, so it is polled; run `outboxrelay sql --part schema`"
        if found[0]["table_id"] != self._table_id:
            await self.wake()
            self._table_id = found[0]["table_id"]
        await self._control.listen(self._channel, self._heard)
        return None

    async def sleep(self) -> Asked:
        """Ask every writer to ring; raises SourceFault."""
        self._follow_session()
        if self._unsure:
            await self._give_back(ALL)
        missing = ALL - self._held
        if not missing:
            return Asked.BEFORE
        before, rings = self._held | self._elsewhere, self.rings
        self._unsure = True
        rows = await self._control.fetch(sql("doorbell_sleep"), LOCK_CLASS, self._table_id, sorted(missing))
        self._unsure = False
        taken = {row["bucket"] for row in rows if row["taken"]}
        self._held |= taken
        self._elsewhere = frozenset(row["bucket"] for row in rows if row["elsewhere"])
        if self._held | self._elsewhere != ALL:
            return Asked.SOME
        steady = before == ALL and not taken and rings == self.rings
        return Asked.BEFORE if steady else Asked.NOW

    async def wake(self) -> None:
        """Do not ask any more; raises SourceFault."""
        self._follow_session()
        self._elsewhere = frozenset()
        if self._held or self._unsure:
            await self._give_back(ALL if self._unsure else self._held)

    async def _give_back(self, buckets: frozenset[int]) -> None:
        self._held, self._unsure = frozenset(), True
        await self._control.fetch(sql("doorbell_wake"), LOCK_CLASS, self._table_id, sorted(buckets), self._channel)
        self._unsure = False

    @property
    def _channel(self) -> str:
        return f"outboxrelay_{self._table_id}"

    def _heard(self) -> None:
        self.rings += 1
        # Perhaps another session stopped asking, and a third one asks by now: between them nobody did.
        self._elsewhere = frozenset()
        self.rung.set()

    def _follow_session(self) -> None:
        """The locks end with the session that took them."""
        if self._session != self._control.sessions:
            self._session = self._control.sessions
            self._held = self._elsewhere = frozenset()
            self._unsure = False
