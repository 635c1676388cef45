"""What the prober asks, whom it asks, and what it keeps of the answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from outboxrelay.api.report import RelayReport
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.conditions import STALE_SECONDS
from outboxrelay.decisions.facts import Count, Exclusions, PodReport, Probe, TableCount

SecretTexts = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked for one relay."""

    uid: str
    spec: OutboxRelaySpec
    secrets: SecretTexts = field(repr=False)
    source_place: str = ""
    """Hosts of the database, where they are known."""
    target_place: str = ""
    """The brokers."""


class SourceProbe(Protocol):
    """Asks databases."""

    async def count(
        self, spec: OutboxRelaySpec, secrets: SecretTexts, exclusions: Exclusions, seconds: float
    ) -> TableCount:
        """Verify the table and count within ``seconds`` of asking; raises Fault, or NotAsked."""


class TargetProbe(Protocol):
    """Asks brokers."""

    async def check(self, spec: OutboxRelaySpec, secrets: SecretTexts, seconds: float) -> None:
        """See that the topic is there; raises Fault, or NotAsked."""


class ReportSource(Protocol):
    """Asks relay pods."""

    async def fetch(self, address: str, seconds: float) -> RelayReport | None:
        """The pod's report; None where it does not answer."""


@dataclass(slots=True)
class Results:
    """The newest answers."""

    source: Probe | None = None
    target: Probe | None = None
    count: Count | None = None
    reports: dict[str, PodReport] = field(default_factory=dict)

    def fresh_reports(self, now: float) -> tuple[PodReport, ...]:
        """Reports that still say something about now."""
        return tuple(item for _, item in sorted(self.reports.items()) if now - item.at <= STALE_SECONDS)
