"""Numbers of each relay as the operator sees it, for Prometheus: what its pods are slow to know, or dead to say.

They are asked for at each scrape, so that nothing stays behind when a relay goes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outboxrelay.decisions.blindness import Key


@dataclass(frozen=True, slots=True)
class RelayNumbers:
    """One relay; what cannot be observed now is None, and then there is no series of it."""

    ready: bool | None = None
    backlog_rows: int | None = None
    lag_seconds: float | None = None
    held_keys: int | None = None
    quarantined_rows: int | None = None


Followed = Callable[[], Iterable[tuple[Key, RelayNumbers]]]

FAMILIES = {
    "ready": ("outboxrelay_relay_ready", "1 where the condition Ready is True."),
    "backlog_rows": ("outboxrelay_relay_backlog_rows", "Rows that wait and can be delivered; counted up to 100,000."),
    "lag_seconds": ("outboxrelay_relay_lag_seconds", "Age of the oldest of them, 0 where none waits."),
    "held_keys": ("outboxrelay_relay_held_keys", "Keys held by a row that cannot be sent, in all pods."),
    "quarantined_rows": ("outboxrelay_relay_quarantined_rows", "Rows of the relay in quarantine."),
}


class RelayMetrics(Collector):
    """Series of the relays that this process looks after."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._followed: Followed = tuple
        registry.register(self)

    def follow(self, followed: Followed) -> None:
        """Show what a leader knows, from now on."""
        self._followed = followed

    def collect(self) -> Iterator[Metric]:
        """Every number of every relay."""
        families = {
            field: GaugeMetricFamily(name, text, labels=["namespace", "relay"])
            for field, (name, text) in FAMILIES.items()
        }
        for key, numbers in self._followed():
            for field, family in families.items():
                value = getattr(numbers, field)
                if value is not None:
                    family.add_metric(key, float(value))
        yield from families.values()
