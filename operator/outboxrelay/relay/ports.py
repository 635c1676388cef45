"""What the relay needs from the outside. Adapters satisfy these; the fakes of the tests do too."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from outboxrelay.decisions.floor import Snapshot
from outboxrelay.decisions.outcomes import Outcome
from outboxrelay.decisions.rows import ReadRequest, Row
from outboxrelay.decisions.sharding import Holding
from outboxrelay.errors import TargetFault


class Clock(Protocol):
    """Time and chance."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def now(self) -> datetime:
        """The time of day, UTC."""

    def chance(self) -> float:
        """A random number from 0 to 1."""


class RowSource(Protocol):
    """The outbox table. Every method raises SourceFault where the database cannot be used."""

    async def open(self) -> None:
        """Connect, and verify that this is a primary whose table fits; does nothing while connected."""

    async def read(self, request: ReadRequest) -> list[Row]:
        """Pending rows in the order of their ids, in one snapshot."""

    async def read_rows(self, ids: Collection[int]) -> list[Row]:
        """Those of ``ids`` that are still pending, in the order of their ids."""

    async def snapshot(self) -> Snapshot:
        """Which transactions are open."""

    async def close(self) -> None:
        """Give the connection up; the next ``open`` makes a new one."""


class RowSettler(Protocol):
    """Deletes or marks what was delivered, on a connection of its own."""

    async def settle(self, ids: Sequence[int]) -> None:
        """In one statement; safe to repeat. Raises SourceFault."""

    async def close(self) -> None:
        """Give the connection up; the next ``settle`` makes a new one."""


class ControlSession(Protocol):
    """The session whose locks say who is a member and who owns which shard. Raises SourceFault."""

    async def open(self) -> None:
        """Connect; nothing is locked yet."""

    async def observe(self) -> Holding:
        """The locks of this relay; proves that the session still lives and still is the same."""

    async def try_lock(self, slots: Collection[int]) -> frozenset[int]:
        """Those of ``slots`` that are this session's now."""

    async def unlock(self, slots: Collection[int]) -> None:
        """Give locks back."""

    async def close(self) -> None:
        """End the session, and with it every lock."""


class Publisher(Protocol):
    """One producer at a time."""

    async def open(self) -> None:
        """Verify the topic and start a producer; does nothing while there is one. Raises TargetFault."""

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send rows in order and wait until each is confirmed, refused, or given up."""

    async def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent."""

    def is_alive(self) -> bool:
        """Whether a running ``publish`` makes progress of any kind, waiting for brokers included."""

    def abort(self) -> None:
        """Make a running ``publish`` end at once; whatever is not confirmed is given up."""

    async def discard(self) -> None:
        """Drop the producer with everything in it."""
