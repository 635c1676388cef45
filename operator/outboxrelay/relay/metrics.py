"""The series at /metrics. What is slow to know (the backlog) is the operator's business."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from outboxrelay import __version__

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 5, 10, 50, 100, 500, 1000, 2500, 5000, 10000)


class Metrics:
    """Counters of one process, in a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        build = Gauge("outboxrelay_build_info", "1; the version is a label.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self.rows = Counter("outboxrelay_delivered_rows", "Rows that Kafka confirmed.", registry=registry)
        self.bytes = Counter("outboxrelay_delivered_bytes", "Bytes of their keys and values.", registry=registry)
        self.batch_rows = Histogram("outboxrelay_batch_rows", "Rows of a batch.", buckets=ROWS, registry=registry)
        self.read_seconds = _seconds("outboxrelay_read_seconds", "Duration of a read of the table.", registry)
        self.publish_seconds = _seconds("outboxrelay_publish_seconds", "Duration until a batch is confirmed.", registry)
        self.settle_seconds = _seconds("outboxrelay_settle_seconds", "Duration of deleting or marking.", registry)
        self.held_keys = Gauge("outboxrelay_held_keys", "Keys held by a row that cannot be sent.", registry=registry)
        self.overtaken = Counter(
            "outboxrelay_overtaken_rows",
            "Rows that arrived although a row before them with the same key was then refused.",
            registry=registry,
        )
        self.moved_aside = Counter(
            "outboxrelay_moved_aside_rows", "Rows moved to quarantine or to the dead letter topic.", registry=registry
        )
        self.quarantined = Gauge(
            "outboxrelay_quarantined_rows", "Rows of the relay in quarantine, as last counted.", registry=registry
        )
        self.blocked_topics = Gauge(
            "outboxrelay_blocked_topics", "Topics that take nothing while others do.", registry=registry
        )
        self.in_flight = Gauge("outboxrelay_in_flight_rows", "Rows read but not settled.", registry=registry)
        self.circuit = Gauge("outboxrelay_circuit_open", "1 while the brokers take nothing.", registry=registry)
        self.circuit_faults = Counter(
            "outboxrelay_target_faults", "Times the circuit opened.", ["reason"], registry=registry
        )
        self.source_faults = Counter(
            "outboxrelay_source_faults", "Times the database could not be used.", ["reason"], registry=registry
        )
        self.reloads = Counter(
            "outboxrelay_credential_reloads",
            "Credentials that were tried because their files changed.",
            ["side", "outcome"],
            registry=registry,
        )
        self.shards = Gauge("outboxrelay_owned_shards", "Slices of the key space owned.", registry=registry)
        self.members = Gauge("outboxrelay_members", "Processes that share the shards.", registry=registry)
        self.ready = Gauge("outboxrelay_ready", "1 when /readyz answers 200.", registry=registry)
        self.circuit.set(1)

    def circuit_opened(self, reason: str) -> None:
        """The circuit opened because of ``reason``."""
        self.circuit.set(1)
        self.circuit_faults.labels(reason=str(reason)).inc()

    def circuit_closed(self) -> None:
        """Rows may be sent."""
        self.circuit.set(0)

    def source_failed(self, reason: str) -> None:
        """The database could not be used because of ``reason``."""
        self.source_faults.labels(reason=str(reason)).inc()

    def reloaded(self, side: str, outcome: str) -> None:
        """Changed credentials of ``side`` (source, target) were Switched to, or Refused."""
        self.reloads.labels(side=side, outcome=outcome).inc()

    def exposition(self) -> bytes:
        """The text of GET /metrics."""
        return generate_latest(self._registry)


def _seconds(name: str, text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, buckets=SECONDS, registry=registry)
