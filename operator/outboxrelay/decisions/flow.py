"""How fast the relay may go: token buckets for the limits of the spec, a ramp after an outage, half speed under strain.

All times are seconds of one monotonic clock; rates are per second.
"""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["Free", "Limited", "Ramping", "Halved"]

SLICE_SECONDS = 0.2
"""A limited rate goes out in pieces of that length, not in bursts of whole batches."""
NEARLY = 1e-9
"""Share of a bucket that rounding may take from it."""
SHORTEST_WAIT_SECONDS = 1e-6
"""No clock tells less apart: whoever waited for it would ask again at the same time, for ever."""
GOOD_SHARE = 0.3
"""Weight of a new batch in the average rate that counts as good."""
TELLING_ROWS = 500
"""A batch of fewer rows says less of how fast the relay can go: its rate lowers the good one less."""
THROUGHPUT_SECONDS = 2.0
HALVE_EVERY_SECONDS = 2.0
RELIEF_PER_SECOND = 0.1
"""Share of the rate before, by which a halved rate grows in a second without strain."""
LOWEST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that come in at ``rate`` and are kept for SLICE_SECONDS; what is larger than that goes into debt."""

    rate: float
    level: float
    at: float

    @property
    def size(self) -> float:
        """Tokens it holds at most."""
        return max(1.0, self.rate * SLICE_SECONDS)


def bucket(rate: float, now: float) -> Bucket:
    """A full one."""
    return Bucket(rate, max(1.0, rate * SLICE_SECONDS), now)


def filled(item: Bucket, now: float, rate: float | None = None) -> Bucket:
    """What is in it at ``now``; from then on tokens come at ``rate``."""
    level = min(item.size, item.level + item.rate * max(0.0, now - item.at))
    return Bucket(item.rate if rate is None else rate, level, now)


def wait_of(item: Bucket, amount: float) -> float:
    """Seconds until ``amount`` may be taken; an amount larger than the bucket may go when the bucket is full."""
    missing = min(amount, item.size) - item.level
    wait = missing / item.rate
    return 0.0 if missing <= item.size * NEARLY or wait < SHORTEST_WAIT_SECONDS else wait


def taken(item: Bucket, amount: float) -> Bucket:
    """The bucket without ``amount``."""
    return replace(item, level=item.level - amount)


@dataclass(frozen=True, slots=True)
class Halved:
    """A rate under strain, which grows back towards the one before it."""

    rate: float
    before: float
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of how fast this relay can and should go."""

    good: float | None = None
    """Rows per second of a relay that is busy and well."""
    throughput: float = 0.0
    """Rows per second of the last seconds, pauses included."""
    seen_at: float | None = None
    ramp_since: float | None = None
    """When sending began again after an outage; None: no ramp."""
    out: bool = False
    """Whether there was an outage that nothing was sent since."""
    halved: Halved | None = None


@dataclass(frozen=True, slots=True)
class Ramp:
    """From the spec: at which share of the good rate to begin again, and in how many seconds to return to it."""

    start_share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Allowed:
    """Rows per second that may be sent now, None for any, and why."""

    rate: float | None
    state: State
    reason: str


FREE = Allowed(None, "Free", "")


def after_batch(pace: Pace, rows: int, seconds: float, now: float) -> Pace:
    """The pace after a batch of ``rows`` was confirmed ``seconds`` after it was sent."""
    if rows == 0 or seconds <= 0:
        return pace
    rate, good = rows / seconds, pace.good
    if good is None:
        good = rate
    elif rate > good:
        good += GOOD_SHARE * (rate - good)
    elif pace.halved is None and pace.ramp_since is None:
        good += GOOD_SHARE * min(1.0, rows / TELLING_ROWS) * (rate - good)
    passed = 0.0 if pace.seen_at is None else max(0.0, now - pace.seen_at)
    throughput = (pace.throughput * THROUGHPUT_SECONDS + rows) / (THROUGHPUT_SECONDS + passed)
    return replace(pace, good=good, throughput=throughput, seen_at=now)


def strain(pace: Pace, now: float, why: str, limit: float | None) -> Pace:
    """The pace after a sign that the brokers are under strain: half of what went out, at most once in a while.

    Half of what went out, not of what could have: a relay that sends a tenth of what it can would have to be halved
    four times before the brokers felt anything. ``limit``: rows per second that are allowed now, None for any.
    """
    if pace.good is None or (pace.halved is not None and now - pace.halved.at < HALVE_EVERY_SECONDS):
        return pace
    if pace.halved is not None and (rate := _grown(pace.halved, now)) < pace.halved.before:
        before = pace.halved.before
    else:
        passed = now - (now if pace.seen_at is None else pace.seen_at)
        went_out = pace.throughput * THROUGHPUT_SECONDS / (THROUGHPUT_SECONDS + passed)
        rate = before = max(1.0, went_out if limit is None else min(limit, went_out))
    return replace(pace, halved=Halved(max(1.0, before * LOWEST_SHARE, rate / 2), before, now, why))


def outage(pace: Pace) -> Pace:
    """The pace when nothing can be delivered."""
    return replace(pace, out=True, ramp_since=None, halved=None)


def going(pace: Pace, ramp: Ramp, now: float) -> Pace:
    """The pace when something is to be sent: after an outage a ramp begins; what is over is forgotten."""
    if pace.out:
        ramps = pace.good is not None and ramp.seconds > 0 and ramp.start_share < 1
        return replace(pace, out=False, ramp_since=now if ramps else None)
    if pace.ramp_since is not None and now - pace.ramp_since >= ramp.seconds:
        pace = replace(pace, ramp_since=None)
    if pace.halved is not None and _grown(pace.halved, now) >= pace.halved.before:
        pace = replace(pace, halved=None)
    return pace


def allowed(pace: Pace, ramp: Ramp, now: float, limit: float | None = None) -> Allowed:
    """What may be sent at ``now``; ``limit``: rows per second that the spec allows."""
    found = FREE if limit is None else Allowed(limit, "Limited", "spec.flow.maxRowsPerSecond")
    if pace.ramp_since is None and pace.halved is None:
        return found
    if pace.ramp_since is not None and pace.good is not None:
        goal = pace.good if limit is None else min(pace.good, limit)
        passed = (now - pace.ramp_since) / ramp.seconds
        if passed < 1:
            rate = max(1.0, goal * (ramp.start_share + (1 - ramp.start_share) * passed))
            found = _lower(found, Allowed(rate, "Ramping", f"after an outage, towards {goal:.0f} rows/s"))
    if pace.halved is not None and (rate := _grown(pace.halved, now)) < pace.halved.before:
        found = _lower(found, Allowed(rate, "Halved", pace.halved.why))
    return found


def _lower(one: Allowed, other: Allowed) -> Allowed:
    return other if one.rate is None or (other.rate is not None and other.rate < one.rate) else one


def _grown(halved: Halved, now: float) -> float:
    return halved.rate + RELIEF_PER_SECOND * halved.before * max(0.0, now - halved.at)
