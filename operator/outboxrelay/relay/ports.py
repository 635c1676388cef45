"""What the relay needs from the outside. Adapters satisfy these; the fakes of the tests do too."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from outboxrelay.decisions.floor import Holder, Snapshot
from outboxrelay.decisions.outcomes import DeadLetter, Outcome
from outboxrelay.decisions.poison import Attempts, Failure
from outboxrelay.decisions.rows import ReadRequest, Row, RowId
from outboxrelay.decisions.sharding import Holding
from outboxrelay.decisions.waking import Asked
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

    async def read_rows(self, ids: Collection[RowId]) -> list[Row]:
        """Those of ``ids`` that are still pending, in the order of their ids."""

    async def still_pending(self, ids: Collection[RowId]) -> frozenset[RowId]:
        """Those of ``ids`` that are still pending; their contents stay in the database."""

    async def snapshot(self) -> Snapshot:
        """Which transactions are open."""

    async def oldest_transaction(self) -> Holder | None:
        """Who holds the oldest transaction open, or None where nobody does."""

    async def release(self) -> None:
        """What was read and not settled may be read by others; nothing to do where rows are owned."""

    async def close(self) -> None:
        """Give the connection up; the next ``open`` makes a new one."""


class RowSettler(Protocol):
    """Deletes or marks what was delivered, on a connection of its own."""

    async def settle(self, ids: Sequence[RowId]) -> None:
        """In one statement; safe to repeat. Raises SourceFault; ServerChanged where the ids may name other rows
        now, RowsLocked where somebody else has locked some of them: none is settled then."""

    async def close(self) -> None:
        """Give the connection up; the next ``settle`` makes a new one."""


class PoisonStore(Protocol):
    """What the database remembers of rows that could not be sent. Every method raises SourceFault.

    Bound to the session that holds the locks, so that only the owner of a row writes of it. Where the tables are
    missing or not granted, ``open`` says so and the other methods do nothing and return nothing.
    """

    async def open(self) -> tuple[str, ...]:
        """What cannot be done for want of tables or privileges, each a sentence; empty when all is there."""

    async def unclean(self, live: Collection[int]) -> bool:
        """Whether members that are not among ``live`` (numbers) went without leaving; they are forgotten."""

    async def enter(self, member: int) -> None:
        """This process is member ``member`` from now on."""

    async def leave(self, member: int) -> None:
        """It went in order."""

    async def load(self) -> list[Attempts]:
        """Rows of this relay of which attempts are remembered."""

    async def start(self, rows: Sequence[Row]) -> None:
        """An attempt for each row begins."""

    async def finish(self, ids: Sequence[RowId]) -> None:
        """These rows are delivered or gone: nothing more needs to be remembered of them."""

    async def failed(self, failures: Sequence[Failure]) -> dict[RowId, int]:
        """An attempt for each row ended in failure; attempts so far (a row of which no start is known gains one)."""

    async def quarantine(self, failures: Sequence[Failure], most: int) -> frozenset[RowId]:
        """Move these rows, whole, into quarantine in one statement while fewer than ``most`` are there; those moved."""

    async def quarantined(self) -> int | None:
        """Rows of this relay in quarantine now; 0 without such a table, None where it cannot be read."""


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

    async def bury(self, letters: Sequence[DeadLetter]) -> Outcome:
        """Send rows that cannot be sent as they are to the dead letter topic, and wait for the outcome."""

    async def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent."""

    async def check_topic(self, topic: str) -> TargetFault | None:
        """What is wrong with one topic that took nothing."""

    def throttled(self) -> float:
        """Milliseconds for which brokers held answers back to slow this process down, since it was last asked."""

    def notices(self) -> list[str]:
        """What somebody should know of the topics, each a sentence."""

    def is_alive(self) -> bool:
        """Whether a running ``publish`` makes progress of any kind, waiting for brokers included."""

    def abort(self) -> None:
        """Make a running ``publish`` end at once; whatever is not confirmed is given up."""

    async def discard(self) -> None:
        """Drop the producer with everything in it."""


class Doorbell(Protocol):
    """Wakes the relay when rows are committed while it asks for that. Every method raises SourceFault."""

    rung: asyncio.Event
    rings: int
    """How often it rang so far."""

    async def open(self) -> str | None:
        """Listen; None where that works, else a sentence why not and what to do."""

    async def sleep(self) -> Asked:
        """Ask every writer to ring; costs nothing while all of them are asked already."""

    async def wake(self) -> None:
        """Do not ask any more."""


class Renewal(Protocol):
    """The credentials of one side: those in use, those that the files hold, and the change from one to the other.

    A fingerprint stands for values, and says nothing of them.
    """

    @property
    def doubted(self) -> asyncio.Event:
        """Set where those in use turned out not to work any more: look at the files now."""

    def in_use(self) -> str | None:
        """Fingerprint of what is connected with; None where nothing has worked yet."""

    def on_file(self) -> str:
        """Fingerprint of what the files hold now, missing values included."""

    async def prepare(self) -> str:
        """Connect with what the files hold, beside what is in use; its fingerprint. Raises Fault where that fails."""

    async def switch(self) -> None:
        """Nothing is on its way: what was prepared takes over. Raises Fault where it cannot, and nothing changes."""

    async def drop(self) -> None:
        """Give up what was prepared."""
