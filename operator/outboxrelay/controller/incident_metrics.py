"""Numbers of incidents and of what is told of them, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.incidents.kinds import KINDS
from outboxrelay.decisions.incidents.reduce import Incident

OpenIncidents = Callable[[], Iterable[tuple[Key | None, Incident]]]
"""Each with its relay; None: the operator's own."""
Pending = Callable[[], dict[str, int]]


class IncidentMetrics(Collector):
    """What is open is asked for at each scrape, so that nothing stays behind when an incident or a relay goes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open: OpenIncidents = tuple
        self._pending: Pending = dict
        self._opened = Counter(
            "outboxrelay_incidents_opened",
            "Incidents that were opened, those that came back included.",
            ["type", "severity"],
            registry=registry,
        )
        self._seconds = Histogram(
            "outboxrelay_incident_detection_seconds",
            "From the first look that saw a fault to its incident.",
            buckets=(1, 5, 10, 15, 30, 60, 300),
            registry=registry,
        )
        self._notices = Counter(
            "outboxrelay_notifications",
            "Notices to receivers outside the cluster: sent, failed (tried again) or dropped (given up).",
            ["receiver", "result"],
            registry=registry,
        )
        registry.register(self)

    def follow(self, incidents: OpenIncidents, pending: Pending) -> None:
        """Show what a leader keeps, from now on."""
        self._open, self._pending = incidents, pending

    def opened(self, kind: str, severity: str, seconds: float | None) -> None:
        """One was opened."""
        self._opened.labels(kind, severity).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def noticed(self, receiver: str, result: str, count: int) -> None:
        """Notices were sent, failed or dropped."""
        self._notices.labels(receiver, result).inc(count)

    def collect(self) -> Iterator[Metric]:
        """Open incidents by type, and by relay and type where there are any."""
        types = Tally({(str(kind.type), str(kind.severity)): 0 for kind in KINDS.values()})
        relays: Tally[tuple[str, str, str, str]] = Tally()
        for key, item in self._open():
            types[item.type, item.severity] += 1
            if key is not None:
                relays[*key, item.type, item.severity] += 1
        by_type = GaugeMetricFamily(
            "outboxrelay_incidents_open", "Open incidents, the operator's own included.", labels=["type", "severity"]
        )
        for labels, count in types.items():
            by_type.add_metric(labels, count)
        by_relay = GaugeMetricFamily(
            "outboxrelay_relay_incidents_open",
            "Open incidents of a relay that has any.",
            labels=["namespace", "relay", "type", "severity"],
        )
        for place, count in relays.items():
            by_relay.add_metric(place, count)
        waiting = GaugeMetricFamily(
            "outboxrelay_notifications_pending", "Notices that a receiver has not taken yet.", labels=["receiver"]
        )
        for receiver, count in self._pending().items():
            waiting.add_metric([receiver], count)
        yield from (by_type, by_relay, waiting)
