"""Which shards this process may read: written by the membership, read by the pump before every step.

A shard that is to move is first taken out of the reads. It may be unlocked when every batch that was read while it was
still in has been settled or forgotten; each read holds a ticket for that.
"""

import asyncio

STALE_SECONDS = 10.0
"""Without a heartbeat for so long nothing is read or sent: the server ends the session after 15."""


class Ownership:
    """What the locks allow."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.owned: frozenset[int] = frozenset()
        """Shards to read; those that drain are not among them."""
        self.draining: frozenset[int] = frozenset()
        self.members = 0
        self.live: frozenset[int] = frozenset()
        """Numbers of the members that hold their slot, this one included."""
        self.changed = asyncio.Event()
        """Set whenever the pump should look again."""
        self.drained = asyncio.Event()
        """Set whenever a ticket was given back."""
        self._confirmed_at: float | None = None
        self._version = 0
        self._draining_since = 0
        self._tickets: list[int] = []

    def confirm(self, at: float, members: int) -> None:
        """A heartbeat that was sent at ``at`` was answered."""
        if not self.is_fresh(at):
            self.changed.set()
        self._confirmed_at, self.members = at, members

    def is_fresh(self, now: float) -> bool:
        """Whether the locks are certain to be ours."""
        return self._confirmed_at is not None and now - self._confirmed_at < STALE_SECONDS

    def gain(self, shards: frozenset[int]) -> None:
        """``shards`` are locked."""
        if shards:
            self.owned |= shards
            self.changed.set()

    def drain(self, shards: frozenset[int]) -> None:
        """Take ``shards`` out of the reads."""
        if shards & self.owned:
            self._version += 1
            self._draining_since = self._version
            self.draining |= shards & self.owned
            self.owned -= shards
            self.changed.set()

    def released(self) -> None:
        """What was draining is unlocked."""
        self.draining = frozenset()

    def lose(self) -> None:
        """The session is gone, and everything with it."""
        self.owned = self.draining = frozenset()
        self._confirmed_at, self.members, self._tickets = None, 0, []
        self._version += 1

    def begin(self) -> int:
        """A ticket for one read."""
        self._tickets.append(self._version)
        return self._version

    def end(self, ticket: int) -> None:
        """Everything that the read found is settled or forgotten."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self.drained.set()

    @property
    def version(self) -> int:
        """Another one whenever shards were given up or lost, also where they came back since."""
        return self._version

    @property
    def is_drained(self) -> bool:
        """Whether nothing that was read before the last drain is still on its way."""
        return all(ticket >= self._draining_since for ticket in self._tickets)

    @property
    def owns_all(self) -> bool:
        """The fast path: the shard of a row need not be asked for."""
        return len(self.owned) == self.total
