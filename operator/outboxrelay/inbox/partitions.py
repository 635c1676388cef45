"""What a worker knows of its partitions: how far each is, which wait, and which are stopped. No I/O, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from outboxrelay.inbox.errors import PartitionStopped

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(slots=True)
class Partition:
    """One that is assigned to this worker."""

    done: int | None = None
    """The offset to commit: after the last event that was processed."""
    failed: int = 0
    """Failures in a row of the handler, at one event."""
    troubled: int = 0
    """Failures in a row of any kind."""
    due: float | None = None
    """When to go on after a failure; None = it is not waiting."""
    stopped: PartitionStopped | None = None

    @property
    def is_held(self) -> bool:
        """Whether its messages are not to be processed now."""
        return self.due is not None or self.stopped is not None


class Partitions:
    """Those that are assigned."""

    def __init__(self) -> None:
        self._held: dict[Place, Partition] = {}

    def add(self, places: Iterable[Place]) -> None:
        """Assigned: each begins anew, also one that was stopped here before."""
        self._held.update((place, Partition()) for place in places)

    def remove(self, places: Iterable[Place]) -> None:
        """Revoked or lost."""
        for place in places:
            self._held.pop(place, None)

    def get(self, place: Place) -> Partition | None:
        """None where it is not assigned."""
        return self._held.get(place)

    def take_due(self, now: float) -> list[Place]:
        """Those whose wait is over; they do not wait any more."""
        found = [place for place, one in self._held.items() if one.due is not None and one.due <= now]
        for place in found:
            self._held[place].due = None
        return found

    def take_done(self) -> dict[Place, int]:
        """Offsets to commit."""
        found = {place: one.done for place, one in self._held.items() if one.done is not None}
        for place in found:
            self._held[place].done = None
        return found

    def put_back(self, done: Mapping[Place, int]) -> None:
        """These were not committed: with the next ones, where the partition is still here."""
        for place, offset in done.items():
            if (one := self._held.get(place)) is not None:
                one.done = max(offset, one.done or 0)

    @property
    def stopped(self) -> list[PartitionStopped]:
        """Why partitions are stopped."""
        return [one.stopped for one in self._held.values() if one.stopped is not None]
