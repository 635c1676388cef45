"""Numbers of the controller itself, for Prometheus."""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from outboxrelay import __version__
from outboxrelay.controller.incident_metrics import IncidentMetrics
from outboxrelay.controller.probe_metrics import ProbeMetrics
from outboxrelay.controller.relay_metrics import RelayMetrics
from outboxrelay.controller.scaling_metrics import ScalingMetrics
from outboxrelay.decisions.blindness import Key


class Metrics:
    """One process's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Gauge("outboxrelay_build_info", "1; the version is a label.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self.incidents = IncidentMetrics(self.registry)
        self.leading = Gauge("outboxrelay_controller_leading", "1 while this process leads.", registry=self.registry)
        self.relays = Gauge("outboxrelay_controller_relays", "OutboxRelays known.", registry=self.registry)
        self.queue = Gauge(
            "outboxrelay_controller_queue_length",
            "Relays whose turn has come, those that are looked at included.",
            registry=self.registry,
        )
        self.late = Counter(
            "outboxrelay_controller_late_seconds",
            "Seconds by which the operator came late to its own work: it had no processor.",
            registry=self.registry,
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
        self.probes = ProbeMetrics(self.registry)
        self.each = RelayMetrics(self.registry)

    def stepped_down(self) -> None:
        """Nothing more is known of any relay: another process leads, and says it."""
        self.leading.set(0)
        for gauge in (self.relays, self.queue):
            gauge.set_function(lambda: 0)
        self.incidents.follow(tuple, dict)
        self.each.follow(tuple)
        self.scaling.clear()

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
