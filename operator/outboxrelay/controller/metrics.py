"""Numbers of the controller itself, for Prometheus."""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from outboxrelay.controller.incident_metrics import IncidentMetrics
from outboxrelay.controller.scaling_metrics import ScalingMetrics
from outboxrelay.decisions.blindness import Key


class Metrics:
    """One process's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.incidents = IncidentMetrics(self.registry)
        self.leading = Gauge("outboxrelay_controller_leading", "1 while this process leads.", registry=self.registry)
        self.relays = Gauge("outboxrelay_controller_relays", "OutboxRelays known.", registry=self.registry)
        self.queue = Gauge(
            "outboxrelay_controller_queue_length", "Relays that wait or are looked at.", registry=self.registry
        )
        self.looks = Counter(
            "outboxrelay_controller_reconciles", "Looks at relays, by result.", ["result"], registry=self.registry
        )
        self.seconds = Histogram(
            "outboxrelay_controller_reconcile_seconds",
            "Time of one look at a relay.",
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=self.registry,
        )
        self.scaling = ScalingMetrics(self.registry)

    def counted(self, work: Callable[[Key], Awaitable[float | None]]) -> "Counted":
        """``work``, counted and timed."""
        return Counted(self, work)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class Counted:
    """A look at a relay that counts itself."""

    def __init__(self, metrics: Metrics, work: Callable[[Key], Awaitable[float | None]]) -> None:
        self._metrics = metrics
        self._work = work

    async def __call__(self, key: Key) -> float | None:
        """Look at ``key``."""
        result = "failed"
        try:
            with self._metrics.seconds.time():
                again = await self._work(key)
            result = "done"
            return again
        finally:
            self._metrics.looks.labels(result).inc()
