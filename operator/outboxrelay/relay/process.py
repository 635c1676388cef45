"""The relay as a whole: verify both sides, then one control session after another until told to stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from outboxrelay import __version__
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.report import RelayReport, Shards, TransactionHolder
from outboxrelay.decisions.floor import Holder
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import SourceFault
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.flow import Flow
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.membership import Membership
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.poison import PoisonRows
from outboxrelay.relay.ports import Clock, Publisher, RowSource
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.renewal import Renewals
from outboxrelay.relay.rest import Rest
from outboxrelay.relay.retention import Housekeeper
from outboxrelay.relay.session import Session
from outboxrelay.relay.settler import Settler
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

STEADY_SECONDS = 10.0
"""A session that lasted for this long worked."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one process is made of."""

    manifest: RelayManifest
    member_name: str
    source: RowSource
    publisher: Publisher
    source_health: HealthTracker
    target_health: HealthTracker
    circuit: Circuit
    membership: Membership
    ownership: Ownership
    session: Session
    reader: Reader
    held: HeldKeys
    lanes: TopicLanes
    poison: PoisonRows
    flow: Flow
    rest: Rest
    settler: Settler
    renewals: Renewals
    housekeeper: Housekeeper
    progress: Progress
    metrics: Metrics
    beats: Beats
    clock: Clock
    policy: BackoffPolicy
    stop: asyncio.Event


class RelayProcess:
    """Runs until ``stop`` is set, and tells how it is."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started_at = parts.clock.now()
        self._source_verified = False
        self._failures = 0

    @property
    def beats(self) -> Beats:
        """Proof that its loops turn."""
        return self._parts.beats

    @property
    def ownership(self) -> Ownership:
        """What it may read."""
        return self._parts.ownership

    async def run(self) -> None:
        """Until told to stop; raises only bugs."""
        parts = self._parts
        with parts.beats.watch("start") as beat:
            # Side by side, so that a report of the first minute names the faults of both.
            async with asyncio.TaskGroup() as group:
                group.create_task(self._verify_source(beat), name="verify_source")
                group.create_task(parts.circuit.restore(parts.stop, beat), name="verify_target")
        beside = {
            asyncio.create_task(parts.housekeeper.run(parts.stop), name="housekeeping"),
            asyncio.create_task(parts.renewals.run(parts.stop), name="credentials"),
        }
        for task in beside:
            task.add_done_callback(self._ended)
        try:
            await self._sessions()
            for task in beside:
                if task.done():
                    task.result()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug in what runs beside ends the process, in order."""
        if not task.cancelled() and task.exception() is not None:
            self._parts.stop.set()
            self._parts.ownership.changed.set()

    async def _sessions(self) -> None:
        parts = self._parts
        while not parts.stop.is_set():
            try:
                await parts.session.run()
                self._failures = 0
            except SourceFault as fault:
                joined = parts.membership.joined_at
                if joined is not None and parts.clock.monotonic() - joined >= STEADY_SECONDS:
                    # What went wrong before is over: the wait grows with failures in a row, not with the process's age.
                    self._failures = 0
                await self._lost(fault)

    def missing(self) -> list[str]:
        """What keeps this process from being ready."""
        checks = {
            "the table is not verified": self._source_verified,
            "the topic is not verified": self._parts.circuit.verified,
            "no member slot is held": self._parts.membership.member is not None,
        }
        lacks = [text for text, done in checks.items() if not done]
        self._parts.metrics.ready.set(not lacks)
        return lacks

    def report(self) -> RelayReport:
        """For /state."""
        parts = self._parts
        ownership, holder = parts.ownership, parts.reader.holder
        return RelayReport(
            identity=parts.manifest.identity,
            version=__version__,
            member=parts.member_name,
            started_at=self._started_at,
            observed_at=parts.clock.now(),
            state=self._state(),
            ready=not self.missing(),
            floor=parts.reader.floor,
            shards=Shards(
                total=ownership.total,
                owned=sorted(ownership.owned),
                draining=sorted(ownership.draining),
                members=ownership.members,
            ),
            source=parts.source_health.current,
            target=parts.target_health.current,
            delivery=parts.progress.report(parts.circuit.state, parts.circuit.retry_at, parts.flow.report()),
            held=parts.held.report(),
            blocked_topics=parts.lanes.report(),
            quarantine=parts.poison.report(),
            holder=None if holder is None else _told(holder),
            limitations=self._limitations(),
            notices=[*parts.publisher.notices(), *parts.settler.notices(), *parts.renewals.notices()],
        )

    def _limitations(self) -> list[str]:
        """What it cannot do as it is set up."""
        parts = self._parts
        found = list(parts.poison.limitations)
        if parts.rest.limitation:
            found.append(parts.rest.limitation)
        if parts.housekeeper.limitation:
            found.append(parts.housekeeper.limitation)
        if parts.reader.best_effort:
            found.append(
                "the id column is a uuid, so the order of a key is best effort: add a bigint identity column and name "
                "it in spec.source.table.columns.id"
            )
        return found

    def scrape(self) -> Metrics:
        """The series, with what only now is known."""
        parts = self._parts
        parts.metrics.shards.set(len(parts.ownership.owned))
        parts.metrics.members.set(parts.ownership.members)
        self.missing()
        return parts.metrics

    def _state(self) -> Literal["Starting", "Running", "Paused", "Stopping"]:
        if self._parts.stop.is_set():
            return "Stopping"
        if self.missing():
            return "Starting"
        return "Paused" if self._parts.manifest.spec.state == "Paused" else "Running"

    async def _verify_source(self, beat: Callable[[], None]) -> None:
        while not self._parts.stop.is_set():
            beat()
            try:
                await self._parts.source.open()
            except SourceFault as fault:
                await self._wait(fault, beat)
            else:
                self._source_verified, self._failures = True, 0
                self._parts.source_health.good()
                return

    async def _lost(self, fault: SourceFault) -> None:
        with self._parts.beats.watch("reconnect") as beat:
            await self._wait(fault, beat)

    async def _wait(self, fault: SourceFault, beat: Callable[[], None]) -> None:
        parts = self._parts
        self._failures += 1
        seconds = backoff(parts.policy, self._failures, parts.clock.chance())
        parts.source_health.bad(fault)
        parts.metrics.source_failed(fault.reason)
        log.warning(
            "session_lost",
            reason=str(fault.reason),
            message=fault.message,
            failures=self._failures,
            retry_in_seconds=round(seconds, 3),
        )
        await wait_for(parts.stop, seconds, beat)


def _told(holder: Holder) -> TransactionHolder:
    age = "" if holder.seconds is None else f", open for {holder.seconds:.0f} s"
    return TransactionHolder(description=holder.description + age)
