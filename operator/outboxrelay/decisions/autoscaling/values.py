"""What a decision on the number of pods is made from, what is remembered between two, and the decision itself.

Times are seconds of one monotonic clock, rates are rows per second.
"""

from dataclasses import dataclass
from typing import Literal

from outboxrelay.api.names import Reason
from outboxrelay.api.scaling import ScalingMode
from outboxrelay.api.status import ScalingStep

NEVER = float("-inf")
UNKNOWN_START_SECONDS = 10.0

StepKind = Literal["ScaledUp", "ScaledDown", "ScaleReverted", "ScaledToZero", "Woken"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the spec asks for."""

    minimum: int
    maximum: int
    """Most pods; what else bounds them is in it already."""
    maximum_from: str
    """The field that the maximum comes from."""
    drain_seconds: float
    max_lag: float
    utilization: float
    """0 to 1."""
    stabilization_seconds: float
    idle_seconds: float
    effectiveness: float
    """Share of a promise that a step up must keep, 0 to 1."""
    ramp_seconds: float
    """How long pods take to return to full speed after an outage."""
    statement_seconds: float
    """When a read is given up."""
    period: float
    """Seconds between two looks at the table and the pods."""

    @property
    def lowest(self) -> int:
        """Fewest pods of a relay that is not asleep."""
        return max(1, self.minimum)

    def within(self, replicas: int) -> int:
        """The nearest number that is allowed."""
        return max(self.minimum, min(self.maximum, replicas))


@dataclass(frozen=True, slots=True)
class Reading:
    """What was last observed of the relay."""

    now: float
    rows: int | None = None
    """Rows that may be delivered; None: never counted."""
    exact: bool = True
    lag: float | None = None
    """Age of the oldest of them in seconds; None where none waits or the table does not say."""
    counted_at: float = NEVER
    ready: int = 0
    """Pods that are ready."""
    told: int = 0
    """Pods that told lately how they are."""
    silent: int = 0
    """Pods that are ready and did not."""
    seasoned: bool = False
    """Whether every pod runs for so long that its rates speak for it."""
    delivered: float = 0.0
    busy: float = 0.0
    """Mean share of time in which pods did not wait for rows."""
    full: float = 0.0
    """Mean share of time in which more rows waited than a pod reads at once."""
    read_seconds: float | None = None
    """95th percentile of the reads of the slowest pod."""
    target_fault: str = ""
    """Why Kafka cannot be used."""
    source_fault: str = ""
    """A sign that the database has too much to do."""
    unmoved: bool = False
    """Whether rows wait and none moves."""
    errors: str = ""
    """Which rows wait for something else than a pod."""
    slowed: str = ""
    """Why pods hold themselves back."""

    @property
    def saturated(self) -> bool:
        """Whether pods have as much to do as they can."""
        return self.full >= SATURATED_SHARE

    def late(self, policy: Policy) -> bool:
        """Whether the objective is missed."""
        return self.lag is not None and self.lag > policy.max_lag


SATURATED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Trial:
    """A step up that has not shown yet what it brings."""

    at: float
    before: int
    after: int
    delivered: float
    """Rows per second of the pods before it, while they were busy."""
    promised: float
    ready_at: float | None = None
    """When all its pods were ready."""
    best: float = 0.0
    """Most rows per second since what is seen is all of the time after that."""


@dataclass(frozen=True, slots=True)
class Block:
    """Until when more pods are not tried, and how often in a row they did not help."""

    until: float = NEVER
    times: int = 0
    promise: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered from one decision to the next."""

    replicas: int
    counts: tuple[tuple[float, int, float], ...] = ()
    """The last counts: when, rows, and rows per second delivered then."""
    capacity: float | None = None
    """What one pod delivers at most, as far as it was seen saturated."""
    start_seconds: float = UNKNOWN_START_SECONDS
    wants: tuple[tuple[float, int], ...] = ()
    """Of the last decisions: each that wanted more than all after it, and when."""
    wants_since: float | None = None
    """Since when there is no gap in them."""
    raised_at: float = NEVER
    lowered_at: float = NEVER
    trial: Trial | None = None
    block: Block = Block()
    target_down_at: float = NEVER
    """When Kafka was last found unusable."""
    saturated_since: float | None = None
    """Since when the database has too much to do."""
    silent_since: float | None = None
    """Since when the table is empty and nothing is delivered."""
    mute_since: float | None = None
    """Since when some pod that is ready does not tell how it is."""
    lacking: bool = False
    """Whether more pods are needed than allowed, and that was said."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is needed."""

    arriving: float
    capacity: float | None
    """Rows per second of one pod; None: not known."""
    learned: bool
    """Whether capacity was seen while pods were saturated; otherwise it is no less than that."""
    need: float
    pods: float | None
    """Pods for that, unrounded and unbounded."""
    want: int | None
    """Pods for that, whole and within bounds."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that keeps the number of pods as it is while it is shut."""

    name: str
    """Of gates the Reason that is published where it is shut; else a way that the number may go."""
    shut: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods, why, and from which numbers."""

    at: float
    before: int
    desired: int
    reason: Reason
    message: str
    """For people; it does not change while the situation is the same."""
    reading: Reading
    policy: Policy
    estimate: Estimate
    start_seconds: float
    gates: tuple[Gate, ...]
    """The first that is shut decides."""
    ways: tuple[Gate, ...]
    """Up, down and to zero, for where no gate is shut."""
    step: StepKind | None = None
    asleep: bool = False


@dataclass(frozen=True, slots=True)
class ScalingFacts:
    """How the number of pods of a relay came about. Times are RFC 3339."""

    mode: ScalingMode
    dry_run: bool = False
    state: str = "Running"
    decision: Decision | None = None
    """None where nobody decides: see mode and state."""
    blocked_until: str | None = None
    blocks: int = 0
    last_step: ScalingStep | None = None

    @property
    def asleep(self) -> bool:
        """Whether no pod runs because there is nothing to do."""
        acts = self.mode == "Auto" and not self.dry_run
        return acts and self.decision is not None and self.decision.asleep
