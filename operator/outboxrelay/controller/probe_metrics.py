"""Numbers of probing, for Prometheus: how long answers take, and how regularly everybody is asked."""

from prometheus_client import CollectorRegistry, Histogram


class ProbeMetrics:
    """By what was asked and what came of it; never by relay."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "outboxrelay_controller_probe_seconds",
            "Time until a database, the brokers or the pods of a relay had answered, or were not waited for any more.",
            ["side", "result"],
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 3, 5),
            registry=registry,
        )
        self._gaps = Histogram(
            "outboxrelay_controller_probe_gap_seconds",
            "Time from the end of one look at a side of a relay to the end of the next.",
            ["side", "result"],
            buckets=(2.5, 5, 6, 7, 8, 9, 10, 15, 30, 60),
            registry=registry,
        )

    def looked(self, side: str, result: str, seconds: float, gap: float | None) -> None:
        """A side of a relay was looked at for ``seconds``, ``gap`` seconds after the look before (None: the first)."""
        self._seconds.labels(side, result).observe(seconds)
        if gap is not None:
            self._gaps.labels(side, result).observe(gap)
