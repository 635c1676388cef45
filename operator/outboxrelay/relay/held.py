"""Rows that cannot be sent. Each holds its key: later rows of the key wait, everything else flows.

One row of a key at most is held, the first one: what is behind it, refused or not, is looked at again in its turn. Were
two held, the second would be tried as soon as the first is gone, ahead of the rows between them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from outboxrelay.api.report import Held, HeldRow
from outboxrelay.decisions.outcomes import Refusal
from outboxrelay.decisions.poison import is_full
from outboxrelay.decisions.rows import EVENT_ID, KEY, ROW_ID, Row, RowId

LOOK_SECONDS = 60.0
"""Whoever moves a held row aside by hand waits no longer than this for its key to go on."""
SHOWN_ROWS = 20
SHOWN_CHARACTERS = 200
RETRIED_AT_ONCE = 100


@dataclass(slots=True)
class _Entry:
    row_id: RowId
    key: str | None
    event_id: str
    refusal: Refusal
    since: datetime
    attempts: int
    """Of all processes, as far as is known."""
    tries: int
    """Of this process, which decide how long it waits: a shard that moves from one to another must not add up."""
    retry_at: float
    look_at: float


class HeldKeys:
    """Bounded, in memory only: after a restart the row is tried, and held, again.

    ``delay`` says how many seconds a row waits after a number of failed attempts; ``strict``: one row holds all.
    """

    def __init__(self, delay: Callable[[int], float], *, strict: bool = False) -> None:
        self._delay = delay
        self._strict = strict
        self._entries: dict[RowId, _Entry] = {}
        self._by_key: dict[str, RowId] = {}
        self._without_key: set[RowId] = set()
        self.overtaken = 0
        self.let_go: list[RowId] = []
        """Rows whose key was changed while they were held: what is behind each in its old key goes on."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether no further key can be held."""
        return is_full(len(self._entries))

    @property
    def blocks_all(self) -> bool:
        """Whether nothing else may be sent while a row is held."""
        return self._strict and bool(self._entries)

    @property
    def keys(self) -> list[str]:
        """Keys to leave out of reads."""
        return list(self._by_key)

    @property
    def rows(self) -> list[RowId]:
        """Rows without a key to leave out of reads."""
        return list(self._without_key)

    def holds(self, row: Row) -> bool:
        """Whether ``row`` must wait."""
        if self._strict:
            return bool(self._entries)
        key = row[KEY]
        return row[ROW_ID] in self._entries if key is None else key in self._by_key

    def waiting(self, rows: Sequence[Row]) -> list[Row]:
        """Those of ``rows`` that must wait. One pass without a call per row: it runs for every row that is sent."""
        if not self._entries:
            return []
        if self._strict:
            return list(rows)
        keys, alone = self._by_key, self._without_key
        if not alone:
            return [row for row in rows if row[KEY] in keys]
        return [row for row in rows if row[KEY] in keys or row[ROW_ID] in alone]

    def hold(self, rows: Iterable[Row], refusals: Iterable[Refusal], now: float, when: datetime) -> list[HeldRow]:
        """Hold the refused ones of ``rows``, which are in the order of delivery; returns those not held before."""
        by_id = {refusal.row_id: refusal for refusal in refusals}
        new = []
        for row in rows:
            refusal = by_id.get(row[ROW_ID])
            if refusal is None or not self._takes_its_key(row):
                continue
            entry = self._entries.get(refusal.row_id)
            if entry is None:
                entry = _Entry(row[ROW_ID], row[KEY], row[EVENT_ID], refusal, when, 0, 0, now, now + LOOK_SECONDS)
                self._add(entry)
                new.append(entry)
            entry.refusal, entry.attempts, entry.tries = refusal, entry.attempts + 1, entry.tries + 1
            entry.retry_at = now + self._delay(entry.tries)
        return [_shown(entry) for entry in new]

    def is_held(self, row_id: RowId) -> bool:
        """Whether it is this very row that something waits for."""
        return row_id in self._entries

    def attempts(self, row_id: RowId) -> int:
        """Attempts by this process."""
        entry = self._entries.get(row_id)
        return entry.attempts if entry else 0

    def counted(self, row_id: RowId, attempts: int, *, never: bool) -> None:
        """The database knows of ``attempts``; ``never``: it is not to be tried any more."""
        entry = self._entries.get(row_id)
        if entry is not None:
            entry.attempts = attempts
            entry.retry_at = inf if never else entry.retry_at

    def due(self, now: float) -> list[RowId]:
        """Rows to try again, a few at a time."""
        found = [entry.row_id for entry in self._entries.values() if entry.retry_at <= now]
        return found[:RETRIED_AT_ONCE]

    def wait_again(self, row_ids: Iterable[RowId], until: float) -> None:
        """These were due, and nothing came of it that was their own doing."""
        for row_id in row_ids:
            entry = self._entries.get(row_id)
            if entry is not None:
                entry.retry_at = max(entry.retry_at, until)

    def unseen(self, now: float) -> list[RowId]:
        """Rows that nobody looked for in a while, a few at a time: they may be gone. Each is told once a minute."""
        found = [entry for entry in self._entries.values() if entry.look_at <= now][:RETRIED_AT_ONCE]
        for entry in found:
            entry.look_at = now + LOOK_SECONDS
        return [entry.row_id for entry in found]

    def release(self, row_ids: Iterable[RowId]) -> None:
        """These rows are delivered or gone: their keys go on."""
        for row_id in row_ids:
            entry = self._entries.pop(row_id, None)
            if entry is None:
                continue
            self._without_key.discard(row_id)
            if entry.key is not None and self._by_key.get(entry.key) == row_id:
                del self._by_key[entry.key]

    def forget(self) -> None:
        """Shards moved, or the session was lost: whoever owns the rows now finds out again."""
        self._entries.clear()
        self._by_key.clear()
        self._without_key.clear()

    def report(self) -> Held:
        """For /state."""
        oldest = sorted(self._entries.values(), key=lambda entry: entry.since)[:SHOWN_ROWS]
        return Held(keys=len(self._entries), overtaken_rows=self.overtaken, rows=[_shown(entry) for entry in oldest])

    def _takes_its_key(self, row: Row) -> bool:
        """Whether ``row`` is the one that its key is to wait for; a row behind it that was held before gives way."""
        row_id, key = row[ROW_ID], row[KEY]
        known = self._entries.get(row_id)
        if known is not None and known.key != key:
            # Somebody changed its key while it was held.
            self.release([row_id])
            self.let_go.append(row_id)
        first = self._first(key)
        if first is None or first == row_id:
            return True
        if isinstance(first, int) and isinstance(row_id, int) and row_id < first:
            self.release([first])
            return True
        self.release([row_id])
        return False

    def _first(self, key: str | None) -> RowId | None:
        if self._strict:
            return next(iter(self._entries), None)
        return None if key is None else self._by_key.get(key)

    def _add(self, entry: _Entry) -> None:
        self._entries[entry.row_id] = entry
        if entry.key is None:
            self._without_key.add(entry.row_id)
        else:
            self._by_key[entry.key] = entry.row_id


def _shown(entry: _Entry) -> HeldRow:
    return HeldRow(
        row_id=entry.row_id,
        key=None if entry.key is None else entry.key[:SHOWN_CHARACTERS],
        event_id=entry.event_id[:SHOWN_CHARACTERS],
        reason=str(entry.refusal.reason),
        message=entry.refusal.message,
        since=entry.since,
        attempts=entry.attempts,
    )
