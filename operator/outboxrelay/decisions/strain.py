"""Whether brokers take longer than they usually do for a batch of that size; times are seconds of one monotonic clock.

A batch of five thousand rows takes longer than one of three, and a backlog brings the large ones all at once: what is
usual is learned for each class of sizes, so that a backlog is not taken for strain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median

STRAIN_FACTOR = 4.0
"""Acknowledgements that take so many times what is usual are a sign of strain ..."""
STRAIN_SECONDS = 0.25
"""... unless they are still fast."""
LEARNING_BATCHES = 20
"""Of one class, before it is known what is usual for it."""
WARM_UP_SECONDS = 1.0
"""A new producer connects, asks for metadata and for its id: what is slow in its first second says nothing."""
RECENT_BATCHES = 5
RECENT_SECONDS = 60.0
MEMORY_SECONDS = 60.0
"""Brokers that stay slow are what is usual after about that time: a relay must not crawl for ever."""
LARGEST_WEIGHT = 0.05
ROW_BYTES = 100
"""What a row costs on its way apart from its payload, about."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What batches of one class of sizes take."""

    seconds: float
    batches: int
    at: float


@dataclass(frozen=True, slots=True)
class Slowness:
    """One batch: when it arrived, what it took, and how many times that is what is usual."""

    at: float
    seconds: float
    factor: float


@dataclass(frozen=True, slots=True)
class Latency:
    """What is known of how long acknowledgements take."""

    usual: Mapping[int, Usual] = field(default_factory=dict)
    """By class: sizes of one class differ by a factor of four at most."""
    recent: tuple[Slowness, ...] = ()
    since: float | None = None
    """When the first batch of this producer was confirmed."""


def observed(latency: Latency, rows: int, size: int, seconds: float, now: float) -> Latency:
    """What is known after a batch of ``rows`` with ``size`` bytes took ``seconds``."""
    if latency.since is None:
        latency = replace(latency, since=now)
    if latency.since is not None and now - latency.since < WARM_UP_SECONDS:
        return latency
    of = (size + rows * ROW_BYTES).bit_length() // 2
    before = latency.usual.get(of)
    recent = latency.recent
    if before is None:
        after = Usual(seconds, 1, now)
    else:
        if before.batches >= LEARNING_BATCHES:
            recent = (*recent[1 - RECENT_BATCHES :], Slowness(now, seconds, seconds / max(before.seconds, 1e-9)))
        passed = max(0.0, now - before.at)
        weight = min(LARGEST_WEIGHT, passed / (passed + MEMORY_SECONDS))
        if before.batches < LEARNING_BATCHES:
            weight = 1 / (before.batches + 1)
        after = Usual(before.seconds + weight * (seconds - before.seconds), before.batches + 1, now)
    return replace(latency, usual={**latency.usual, of: after}, recent=recent)


def signs(latency: Latency, now: float) -> str:
    """The strain that the last batches show, in words; empty where they show none."""
    recent = [item for item in latency.recent if now - item.at <= RECENT_SECONDS]
    if len(recent) < RECENT_BATCHES:
        return ""
    seconds, factor = median(item.seconds for item in recent), median(item.factor for item in recent)
    if seconds <= STRAIN_SECONDS or factor <= STRAIN_FACTOR:
        return ""
    return f"acknowledgements take {seconds * 1000:.0f} ms, {factor:.0f} times what is usual"


def noticed(latency: Latency) -> Latency:
    """The same signs count once: the next strain needs batches of its own."""
    return replace(latency, recent=())


def reconnected(latency: Latency) -> Latency:
    """Another producer begins; what was usual is remembered."""
    return replace(latency, recent=(), since=None)
