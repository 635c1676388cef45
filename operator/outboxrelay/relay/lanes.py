"""Topics that take nothing while others do: their rows wait in the table, and each topic is looked at again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from outboxrelay.api.report import BlockedTopic
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import TopicFault
from outboxrelay.relay.ports import Clock, Publisher

log = structlog.get_logger(__name__)

PROBED_AT_ONCE = 5
"""A look at a topic takes up to some seconds where brokers are slow; other rows wait for it."""
SHOWN = 20
MOST = 1000
"""Topics in memory and in the read's predicate; beyond it the relay stops reading rather than grow."""


@dataclass(slots=True)
class _Lane:
    fault: TopicFault
    since: datetime
    failures: int
    due: float
    retry_at: datetime


class TopicLanes:
    """Where rows name their topic."""

    def __init__(self, publisher: Publisher, policy: BackoffPolicy, clock: Clock) -> None:
        self._publisher = publisher
        self._policy = policy
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def __contains__(self, topic: object) -> bool:
        return topic in self._lanes

    @property
    def topics(self) -> list[str]:
        """Topics to leave out of reads."""
        return list(self._lanes)

    @property
    def is_full(self) -> bool:
        """Whether so many topics take nothing that something else must be wrong."""
        return len(self._lanes) >= MOST

    @property
    def is_due(self) -> bool:
        """Whether a topic is to be looked at."""
        now = self._clock.monotonic()
        return any(lane.due <= now for lane in self._lanes.values())

    def block(self, fault: TopicFault) -> None:
        """Rows for the topic wait from now on."""
        lane = self._lanes.get(fault.topic)
        failures = lane.failures + 1 if lane else 1
        wait = backoff(self._policy, failures, self._clock.chance())
        now, when = self._clock.monotonic(), self._clock.now()
        since = lane.since if lane else when
        self._lanes[fault.topic] = _Lane(fault, since, failures, now + wait, when + timedelta(seconds=wait))
        log.warning(
            "topic_blocked",
            topic=fault.topic,
            reason=str(fault.reason),
            message=fault.message,
            retry_in_seconds=round(wait, 3),
        )

    async def probe(self) -> bool:
        """Look at topics that are due; whether any takes rows again."""
        now = self._clock.monotonic()
        # The one that waits the longest comes first, or those at the end would never have their turn.
        waiting = sorted((lane.due, topic) for topic, lane in self._lanes.items() if lane.due <= now)
        due = [topic for _, topic in waiting[:PROBED_AT_ONCE]]
        freed = False
        for topic in due:
            fault = await self._publisher.check_topic(topic)
            if fault is None:
                del self._lanes[topic]
                freed = True
                log.info("topic_freed", topic=topic)
            else:
                self.block(TopicFault(fault.reason, fault.message, topic))
        return freed

    def forget(self) -> None:
        """The session is over: whoever reads the rows next finds out again."""
        self._lanes.clear()

    def report(self) -> list[BlockedTopic]:
        """For /state, the longest blocked first."""
        oldest = sorted(self._lanes.items(), key=lambda item: item[1].since)[:SHOWN]
        return [
            BlockedTopic(
                topic=topic,
                reason=str(lane.fault.reason),
                message=lane.fault.message,
                since=lane.since,
                retry_at=lane.retry_at,
            )
            for topic, lane in oldest
        ]
