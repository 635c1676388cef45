"""A relay, its database and its brokers as a few numbers over virtual time, scaled by the real decisions.

Each second rows arrive, and pods that have started deliver as much as they, the database and the brokers can. Every
five seconds a decision is made from what a controller would see: a bounded count, and of each pod its mean of the last
ten seconds or since its process began. So for a while after a step the sum of these means is not what is delivered.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.values import Decision, Policy, Reading, State
from outboxrelay.decisions.backlog import COUNT_LIMIT

PERIOD = 5
WINDOW = 10
SEASONED = 15
BOOT_SECONDS = 2
"""From the start of a pod's process until it has shards and delivers."""
NEVER_READY = 10**9


def policy(**changes: object) -> Policy:
    """The defaults of the spec, with room for twelve pods."""
    fields: dict[str, object] = {
        "minimum": 1,
        "maximum": 12,
        "maximum_from": "scaling.maxReplicas 12",
        "drain_seconds": 120.0,
        "max_lag": 30.0,
        "utilization": 0.7,
        "stabilization_seconds": 300.0,
        "idle_seconds": 600.0,
        "effectiveness": 0.3,
        "ramp_seconds": 120.0,
        "statement_seconds": 5.0,
        "period": float(PERIOD),
    }
    return Policy(**(fields | changes))  # type: ignore[arg-type]


@dataclass
class Pod:
    """What it did in each of the last seconds."""

    asked: int
    """When it was asked for."""
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    full: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    busy: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


@dataclass
class Plant:
    """``arriving`` gives rows per second at a time; ``noise`` is the share by which what is seen and what arrives
    differ from it at random."""

    arriving: Callable[[int], float]
    per_pod: float = 100.0
    database: float = float("inf")
    start_seconds: int = 10
    unstartable: bool = False
    """Whether pods that are asked for from now on never become ready."""
    down: Callable[[int], bool] = lambda _now: False
    errors: str = ""
    unreadable: int = 0
    """Rows that are counted and that no pod can deliver."""
    rules: Policy = field(default_factory=policy)
    replicas: int = 1
    fresh: bool = False
    """Whether the first pods are asked for at the beginning, not long before it."""
    backlog: float = 0.0
    backlog_age: float = 0.0
    """Seconds that the rows of the beginning have waited by then."""
    noise: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        self.now = 0
        self.state = State(self.replicas)
        self.decisions: list[Decision] = []
        self.history: list[tuple[int, int]] = [(0, self.replicas)]
        self._dice = random.Random(self.seed)
        self._pods = [Pod(0 if self.fresh else -1000) for _ in range(self.replicas)]
        self._outage_ended = -10_000
        self._moved = 0
        self._arrived: deque[float] = deque(maxlen=3600)

    def run(self, seconds: int) -> "Plant":
        """Let time pass."""
        for _ in range(seconds):
            self._second()
            if self.now % PERIOD == 0:
                self._decide()
        return self

    def steps(self) -> list[int]:
        """The numbers of pods, one after the other."""
        return [number for _, number in self.history]

    def turns(self) -> int:
        """How often the number of pods went one way after it had gone the other."""
        ways = [later > sooner for sooner, later in pairwise(self.steps())]
        return sum(one != other for one, other in pairwise(ways))

    def _second(self) -> None:
        self.now += 1
        arrived = self.arriving(self.now) * (1 + self.noise * self._dice.uniform(-1, 1))
        self._arrived.append(arrived)
        self.backlog += arrived
        down = self.down(self.now)
        if down:
            self._outage_ended = self.now
        running = self._running()
        capacity = 0.0 if down else min(len(running) * self.per_pod, self.database) * self._ramp()
        sent = min(self.backlog, capacity)
        self.backlog -= sent
        if sent or self.backlog == 0:
            self._moved = self.now
        for pod in running:
            share = sent / len(running)
            pod.sent.append(share)
            pod.full.append(1.0 if self.backlog > capacity > 0 else 0.0)
            pod.busy.append(min(1.0, share / self.per_pod) if self.per_pod else 1.0)

    def _running(self) -> list[Pod]:
        return [pod for pod in self._pods if self.now - pod.asked >= self.start_seconds]

    def _sum(self, seconds: list[deque[float]], pods: list[Pod]) -> float:
        """Of the means that these pods tell."""
        ages = [self.now - pod.asked - self.start_seconds + BOOT_SECONDS for pod in pods]
        return sum(sum(each) / max(1, min(WINDOW, age)) for each, age in zip(seconds, ages, strict=True))

    def _ramp(self) -> float:
        """Pods return to full speed by and by."""
        since = self.now - self._outage_ended
        seconds = self.rules.ramp_seconds
        return 1.0 if since >= seconds else 0.25 + 0.75 * since / seconds

    def _decide(self) -> None:
        running = self._running()
        rows = int(self.backlog + self.unreadable)
        spread = 1 + self.noise / 2 * self._dice.uniform(-1, 1)
        delivered = self._sum([pod.sent for pod in running], running) * spread
        full = self._sum([pod.full for pod in running], running) / max(1, len(running))
        busy = self._sum([pod.busy for pod in running], running) / max(1, len(running))
        reading = Reading(
            now=float(self.now),
            rows=min(rows, COUNT_LIMIT),
            exact=rows <= COUNT_LIMIT,
            lag=self._lag(),
            counted_at=float(self.now),
            ready=len(running),
            told=len(running),
            seasoned=all(self.now - pod.asked >= self.start_seconds - BOOT_SECONDS + SEASONED for pod in running),
            delivered=delivered,
            busy=min(1.0, max(full, busy)),
            full=min(1.0, full),
            read_seconds=0.01,
            target_fault="BrokerUnavailable" if self.down(self.now) else "",
            unmoved=rows > 0 and self.now - self._moved >= 25,
            errors=self.errors,
            slowed="a pod sends at less than full speed after an outage" if self._ramp() < 1 else "",
        )
        decision, self.state = decide(self.rules, reading, self.state)
        self.decisions.append(decision)
        self._scale(decision.desired)

    def _lag(self) -> float:
        """Age of the oldest row, as rows leave in the order in which they came."""
        if self.unreadable:
            return float(self.now)
        left, seconds = self.backlog, 0.0
        for arrived in reversed(self._arrived):
            if left < 1:
                break
            left -= arrived
            seconds += 1
        return seconds + (self.backlog_age if left >= 1 else 0.0)

    def _scale(self, wanted: int) -> None:
        if wanted != len(self._pods):
            self.history.append((self.now, wanted))
        while len(self._pods) < wanted:
            self._pods.append(Pod(NEVER_READY if self.unstartable else self.now))
        del self._pods[wanted:]
