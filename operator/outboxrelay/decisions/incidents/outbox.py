"""What one receiver has still to be told: bounded, one entry for each incident, the newest state of it wins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from outboxrelay.decisions.incidents.notices import Notice

MAX_ENTRIES = 1000
MAX_BATCH = 200
MAX_REFUSALS = 5
"""So often may a receiver refuse a notice as such before it is given up."""
MAX_GATHER_SECONDS = 10.0
"""What grows while it waits is sent after this time, whatever comes."""
MAX_AGE_SECONDS = 3600.0
"""What could not be told for this long is given up, unless it is repeated anyway."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A notice that is to be sent at ``due``."""

    notice: Notice
    due: float
    since: float
    refusals: int = 0


@dataclass(slots=True)
class Outbox:
    """The entries of one receiver. Times are those of one monotonic clock.

    A receiver that is told once (``repeat`` None) gets each change; one that forgets gets everything that is open every
    ``repeat`` seconds, and what is resolved once.
    """

    repeat: float | None = None
    dropped: int = 0
    """Notices that were given up so far."""
    entries: dict[str, Entry] = field(default_factory=dict)

    def put(self, notice: Notice, now: float, *, wait: float = 0.0) -> None:
        """Tell of a change, after ``wait`` seconds."""
        before = self.entries.pop(notice.id, None)
        if before is None and len(self.entries) >= MAX_ENTRIES:
            del self.entries[next(iter(self.entries))]
            self.dropped += 1
        self.entries[notice.id] = Entry(notice, now + wait, now)

    def renew(self, notice: Notice, now: float, *, wait: float = 0.0) -> None:
        """The same change with more to say of it: no reason to send it sooner or again.

        One that was not sent yet waits ``wait`` seconds more, as long as that is not too long in all: there may be more
        to say.
        """
        before = self.entries.get(notice.id)
        if before is not None:
            due = max(before.due, min(now + wait, before.since + MAX_GATHER_SECONDS))
            self.entries[notice.id] = replace(before, notice=notice, due=due)

    def adopt(self, notice: Notice, now: float) -> None:
        """An incident that another leader told already: only who forgets is told again."""
        if self.repeat is not None:
            self.put(notice, now)

    def due(self, now: float) -> tuple[Entry, ...]:
        """What is to be sent in one request: all that is due where it is repeated, else the oldest."""
        self._give_up(now)
        found = [entry for entry in self.entries.values() if entry.due <= now]
        return tuple(found[: MAX_BATCH if self.repeat is not None else 1])

    def next_due(self) -> float | None:
        """When something is due next."""
        return min((entry.due for entry in self.entries.values()), default=None)

    def sent(self, batch: Sequence[Entry], now: float) -> None:
        """Note that ``batch`` has arrived."""
        for entry in batch:
            current = self.entries.get(entry.notice.id)
            if current is None or current.notice.state != entry.notice.state or current.since != entry.since:
                continue
            if self.repeat is not None and current.notice.incident.open:
                self.entries[entry.notice.id] = replace(current, due=now + self.repeat, since=now, refusals=0)
            else:
                del self.entries[entry.notice.id]

    def refused(self, batch: Sequence[Entry]) -> None:
        """Note that the receiver does not take ``batch``, however often it is sent."""
        for entry in batch:
            current = self.entries.get(entry.notice.id)
            if current is None or current.since != entry.since:
                continue
            del self.entries[entry.notice.id]
            if current.refusals + 1 < MAX_REFUSALS or (self.repeat is not None and current.notice.incident.open):
                # Behind the others: they need not wait for one that may never be taken.
                self.entries[entry.notice.id] = replace(current, refusals=current.refusals + 1)
            else:
                self.dropped += 1

    def _give_up(self, now: float) -> None:
        for name, entry in list(self.entries.items()):
            forever = self.repeat is not None and entry.notice.incident.open
            if not forever and now - entry.since > MAX_AGE_SECONDS:
                del self.entries[name]
                self.dropped += 1
