"""What the controller observed of one relay, as values: all that its health is decided from."""

from dataclasses import dataclass
from typing import Literal

from outboxrelay.api.names import Reason
from outboxrelay.api.report import RelayReport
from outboxrelay.decisions.autoscaling.values import ScalingFacts

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the spec can be carried out, and if not, why."""

    reason: Reason = Reason.ACCEPTED
    message: str = "the spec is valid and is carried out"

    @property
    def accepted(self) -> bool:
        """Whether the relay may run."""
        return self.reason is Reason.ACCEPTED


@dataclass(frozen=True, slots=True)
class Hold:
    """Why new pods are not made yet."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Probe:
    """The newest answer of a database or a cluster of brokers to the controller itself."""

    at: float
    reason: Reason = Reason.CONNECTED
    message: str = ""

    @property
    def healthy(self) -> bool:
        """Whether it can be used."""
        return self.reason is Reason.CONNECTED


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Rows that wait for a person, so no backlog: keys as far as reports hold them, and rows without a key."""

    keys: tuple[str, ...] = ()
    rows: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableCount:
    """Rows that wait, as a database answers."""

    rows: int
    exact: bool
    oldest_age: float | None


@dataclass(frozen=True, slots=True)
class Count:
    """What waits in the table."""

    at: float
    rows: int
    exact: bool
    oldest_age: float | None
    """Seconds; None where nothing waits or the table has no time column."""


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """The relay's Deployment."""

    desired: int
    replicas: int
    ready: int
    updated: int
    settled: bool
    """Whether Kubernetes has seen the newest spec."""
    refused: str = ""
    """Why pods cannot be created."""
    overdue: bool = False
    """Whether a rollout takes longer than its deadline."""
    progressed_at: str = ""
    """When a rollout last came further, RFC 3339."""

    @property
    def complete(self) -> bool:
        """Whether no pod of an older template is left."""
        return self.settled and self.replicas == self.updated


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One relay pod."""

    name: str
    address: str | None
    ready: bool
    problem: Reason | None = None
    message: str = ""
    fell: bool = False
    """Whether it was ready since its container started, and is no more."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a pod said of itself, and when."""

    at: float
    report: RelayReport


@dataclass(frozen=True, slots=True)
class Facts:
    """One relay at one moment. Times are those of one monotonic clock."""

    now: float
    state: str
    wanted: int
    verdict: Verdict
    source: Probe | None
    target: Probe | None
    count: Count | None
    deployment: DeploymentFacts | None
    pods: tuple[PodFacts, ...] = ()
    reports: tuple[PodReport, ...] = ()
    """Fresh ones only."""
    silent: tuple[str, ...] = ()
    """Pods that should answer the controller and have not for long."""
    silent_since: float | None = None
    """When one of them last answered."""
    source_scope: str = ""
    """Hosts of the database, where they are known."""
    target_scope: str = ""
    """The brokers."""
    progress_at: float | None = None
    """When rows were last seen to move, or there were none, or none could be expected to."""
    moved_at: float | None = None
    """When rows were last seen to leave the table."""
    scaling: ScalingFacts | None = None
    """None where the spec cannot be read."""
    max_lag: float = 30.0
    """Seconds that the oldest row should not pass."""
    hold: Hold | None = None
    """Why pods are not made from the newest spec yet."""

    @property
    def unstarted(self) -> Hold | None:
        """Why there has been no pod at all yet."""
        return self.hold if self.deployment is None else None

    @property
    def asleep(self) -> bool:
        """Whether no pod runs because there is nothing to do."""
        return self.scaling is not None and self.scaling.asleep


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition without its history."""

    type: str
    status: Status
    reason: str
    message: str
