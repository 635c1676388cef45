"""What went through: for /state, for /metrics, and for nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from outboxrelay.api.report import Delivery, FlowState
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ports import Clock
from outboxrelay.relay.rates import Rates


class Progress:
    """Counts of one process."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._rates = Rates(clock.monotonic())
        self._begun: float | None = None
        self._resting_since: float | None = None
        self._full_since: float | None = None
        self._rows = self._bytes = self._in_flight = 0
        self._delivered_at: datetime | None = None
        self._read_at: datetime | None = None

    def read(self, seconds: float, rows: int, in_flight: int, *, full: bool) -> None:
        """The table was read; ``full``: more rows wait than one read takes."""
        now = self._clock.monotonic()
        self._rates.read(now, seconds)
        if self._full_since is not None:
            self._rates.full(self._full_since, now)
        self._full_since = now if full else None
        self._read_at = self._clock.now()
        self._metrics.read_seconds.observe(seconds)
        self._in_flight = rows + in_flight
        self._metrics.in_flight.set(self._in_flight)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While there is nothing to do."""
        begun = self._resting_since = self._clock.monotonic()
        try:
            yield
        finally:
            self._resting_since = None
            self._rates.rested(begun, self._clock.monotonic())

    def interrupted(self) -> None:
        """Something failed: what waits now says nothing of how fast this process can be."""
        self._full_since = None

    def begin(self, rows: int) -> None:
        """A batch is on its way."""
        self._begun = self._clock.monotonic()
        self._in_flight = rows
        self._metrics.batch_rows.observe(rows)

    def end(self, rows: int, size: int) -> float:
        """Of the batch, ``rows`` were confirmed; the seconds that it took."""
        now = self._clock.monotonic()
        begun, self._begun = self._begun or now, None
        self._rates.confirmed(now, rows)
        self._metrics.publish_seconds.observe(now - begun)
        self._rows += rows
        self._bytes += size
        self._metrics.rows.inc(rows)
        self._metrics.bytes.inc(size)
        self._in_flight = max(0, self._in_flight - rows)
        self._metrics.in_flight.set(self._in_flight)
        if rows:
            self._delivered_at = self._clock.now()
        return now - begun

    def settled(self, seconds: float) -> None:
        """Confirmed rows were deleted or marked."""
        self._metrics.settle_seconds.observe(seconds)

    def held(self, keys: int, overtaken: int, topics: int) -> None:
        """Keys and topics that wait now; rows that were overtaken since."""
        self._metrics.held_keys.set(keys)
        self._metrics.overtaken.inc(overtaken)
        self._metrics.blocked_topics.set(topics)

    def source_failed(self, reason: str) -> None:
        """The database could not be used."""
        self._metrics.source_failed(reason)

    def report(self, circuit: Literal["Closed", "Open"], retry_at: datetime | None, flow: FlowState) -> Delivery:
        """For /state."""
        now = self._clock.monotonic()
        return Delivery(
            rows_total=self._rows,
            bytes_total=self._bytes,
            rows_per_second=round(self._rates.rows_per_second(now), 2),
            busy_share=round(self._rates.busy_share(now, self._resting_since), 3),
            full_share=round(self._rates.full_share(now, self._full_since), 3),
            read_p95_milliseconds=_milliseconds(self._rates.slow_read_seconds(now)),
            in_flight_rows=self._in_flight,
            last_delivered_at=self._delivered_at,
            last_read_at=self._read_at,
            circuit=circuit,
            retry_at=retry_at,
            flow=flow,
        )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
