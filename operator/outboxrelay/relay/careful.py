"""Watches for rows that end the process: after an unclean end attempts are written down before they are made."""

from collections.abc import Iterable, Sequence

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.decisions.outcomes import Refusal
from outboxrelay.decisions.rows import ROW_ID, Row, RowId
from outboxrelay.decisions.suspicion import CAREFUL_LIMIT, sift
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import PoisonStore

log = structlog.get_logger(__name__)


class Careful:
    """Calm nearly always, and then it costs nothing."""

    def __init__(self, store: PoisonStore, ownership: Ownership, max_attempts: int, batch_rows: int) -> None:
        self._store = store
        self._ownership = ownership
        self._most = max_attempts
        self._in_flight_at_most = 2 * batch_rows
        self._left = 0
        self._suspects: dict[RowId, int] = {}
        self._started: set[RowId] = set()
        """Attempts that are written down; they outlive a lost session, because this process outlived them."""
        self._shards: frozenset[int] = frozenset()

    @property
    def active(self) -> bool:
        """Whether attempts are to be written down of every row."""
        return self._left > 0

    def concerns(self, rows: Sequence[Row]) -> bool:
        """Whether attempts are to be written down of ``rows``: of any, or of one under suspicion.

        Rows under suspicion may be others' to send, or gone: as long as none of them comes up all goes at full speed.
        """
        return self.active or (bool(self._suspects) and any(row[ROW_ID] in self._suspects for row in rows))

    @property
    def most_rows(self) -> int | None:
        """Rows of a batch at most; None: any number."""
        return CAREFUL_LIMIT if self.active else None

    async def look(self) -> None:
        """Where shards were gained, see whether the member that had them went without leaving; raises SourceFault."""
        gained = self._ownership.owned - self._shards
        self._shards = self._ownership.owned
        if gained:
            await self._learn(self._ownership.live)

    async def begin(self, member: int) -> None:
        """A new session as ``member``: whoever is remembered under that number is gone. Raises SourceFault."""
        await self._learn(self._ownership.live - {member})

    async def _learn(self, live: frozenset[int]) -> None:
        """Which attempts were never finished, and whether a member went without leaving."""
        await self.finish(())
        unclean = await self._store.unclean(live)
        remembered = await self._store.load()
        self._suspects = {
            item.row_id: item.started - item.finished for item in remembered if item.started > item.finished
        }
        if unclean or self._suspects:
            self._left = self._in_flight_at_most
            log.warning("careful", message="a member ended without leaving", suspects=len(self._suspects))

    def sift(self, rows: list[Row]) -> tuple[list[Row], list[Refusal]]:
        """Rows to send now, and refusals of those that ended the process too often."""
        if not self._suspects:
            return rows, []
        send, condemned = sift(rows, self._suspects, self._most)
        return send, [
            Refusal(
                row[ROW_ID],
                Reason.ROW_ENDS_PROCESS,
                f"the process ended {self._suspects[row[ROW_ID]]} times while it sent this row",
            )
            for row in condemned
        ]

    async def start(self, rows: Sequence[Row]) -> None:
        """Attempts for ``rows`` are about to be made; raises SourceFault."""
        await self._store.start(rows)
        self._started.update(row[ROW_ID] for row in rows)

    async def finish(self, failed: Iterable[RowId]) -> None:
        """The process is still here: all that was started is over, ``failed`` by an error. Raises SourceFault."""
        if not self._started:
            return
        passed = self._started.difference(failed)
        self._left = max(0, self._left - len(self._started))
        for row_id in self._started:
            self._suspects.pop(row_id, None)
        if passed:
            await self._store.finish(list(passed))
        self._started.clear()

    def forget(self) -> None:
        """The session is over."""
        self._shards = frozenset()
        self._suspects.clear()
