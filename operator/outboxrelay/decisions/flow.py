"""How fast the relay may go: token buckets for the limits of the spec, a ramp after an outage, half speed under strain.

All times are seconds of one monotonic clock; rates are per second.
"""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["Free", "Limited", "Ramping", "Halved"]

SLICE_SECONDS = 0.2
"""A limited rate goes out in pieces of that length, not in bursts of whole batches."""
GOOD_SHARE = 0.3
"""Weight of a new batch in the average rate that counts as good."""
RECENT_SHARE = 0.5
USUAL_SHARE = 0.02
STRAIN_FACTOR = 4.0
"""Acknowledgements that take so many times what is usual are a sign of strain ..."""
STRAIN_SECONDS = 0.25
"""... unless they are still fast."""
LEARNING_BATCHES = 20
HALVE_EVERY_SECONDS = 2.0
RELIEF_PER_SECOND = 0.1
"""Share of the good rate by which a halved rate grows in a second without strain."""
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
    return max(0.0, missing / item.rate)


def taken(item: Bucket, amount: float) -> Bucket:
    """The bucket without ``amount``."""
    return replace(item, level=item.level - amount)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of how fast this relay can and should go."""

    good: float | None = None
    """Rows per second of a relay that is busy and well."""
    usual_seconds: float | None = None
    recent_seconds: float | None = None
    batches: int = 0
    ramp_since: float | None = None
    """When sending began again after an outage; None: no ramp."""
    out: bool = False
    """Whether there was an outage that nothing was sent since."""
    halved: float | None = None
    """The rate under strain."""
    halved_at: float = 0.0
    why: str = ""


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


def after_batch(pace: Pace, rows: int, seconds: float, now: float) -> Pace:
    """The pace after a batch of ``rows`` was confirmed in ``seconds``."""
    if rows == 0 or seconds <= 0:
        return pace
    pace = _learned(pace, rows, seconds, now)
    usual, recent = pace.usual_seconds or seconds, pace.recent_seconds or seconds
    strained = pace.batches > LEARNING_BATCHES and recent > max(STRAIN_SECONDS, STRAIN_FACTOR * usual)
    if strained:
        return strain(pace, now, f"acknowledgements take {recent * 1000:.0f} ms instead of {usual * 1000:.0f}")
    return _relieved(pace, now)


def strain(pace: Pace, now: float, why: str) -> Pace:
    """The pace after a sign that the brokers are under strain: half of what it was, at most once in a while."""
    if pace.good is None or (pace.halved is not None and now - pace.halved_at < HALVE_EVERY_SECONDS):
        return pace
    before = pace.good if pace.halved is None else pace.halved
    lowest = max(1.0, pace.good * LOWEST_SHARE)
    return replace(pace, halved=max(lowest, before / 2), halved_at=now, why=why)


def outage(pace: Pace) -> Pace:
    """The pace when nothing can be delivered."""
    return replace(pace, out=True, ramp_since=None, halved=None)


def resumed(pace: Pace, now: float) -> Pace:
    """The pace when sending begins, which is what a ramp counts from."""
    return replace(pace, out=False, ramp_since=now if pace.good is not None else None) if pace.out else pace


def allowed(pace: Pace, ramp: Ramp, now: float) -> Allowed:
    """What may be sent at ``now``, apart from the limits of the spec."""
    rates: list[Allowed] = []
    if pace.ramp_since is not None and pace.good is not None and ramp.seconds > 0 and ramp.start_share < 1:
        passed = (now - pace.ramp_since) / ramp.seconds
        if passed < 1:
            rate = max(1.0, pace.good * (ramp.start_share + (1 - ramp.start_share) * passed))
            rates.append(Allowed(rate, "Ramping", f"after an outage, towards {pace.good:.0f} rows/s"))
    if pace.halved is not None:
        rates.append(Allowed(pace.halved, "Halved", pace.why))
    return min(rates, key=lambda item: item.rate or 0.0, default=Allowed(None, "Free", ""))


def _learned(pace: Pace, rows: int, seconds: float, now: float) -> Pace:
    rate = rows / seconds
    calm = pace.halved is None and pace.ramp_since is None
    good = pace.good
    if good is None:
        good = rate
    elif calm or rate > good:
        good += GOOD_SHARE * (rate - good)
    usual = pace.usual_seconds
    if usual is None:
        usual = seconds
    elif pace.halved is None:
        usual += max(USUAL_SHARE, 1 / (pace.batches + 1)) * (seconds - usual)
    recent = (
        seconds if pace.recent_seconds is None else pace.recent_seconds + RECENT_SHARE * (seconds - pace.recent_seconds)
    )
    return replace(pace, good=good, usual_seconds=usual, recent_seconds=recent, batches=pace.batches + 1)


def _relieved(pace: Pace, now: float) -> Pace:
    """A halved rate grows while nothing shows strain, and is free again when it reaches the good one."""
    if pace.halved is None or pace.good is None:
        return pace
    rate = pace.halved + pace.good * RELIEF_PER_SECOND * min(1.0, max(0.0, now - pace.halved_at))
    if rate >= pace.good:
        return replace(pace, halved=None, why="")
    return replace(pace, halved=rate, halved_at=now)
