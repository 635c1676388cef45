"""How a relay comes back after an outage, from samples taken every second."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

NORMAL_SECONDS = 1.0
"""A pending row that is younger is not late."""
CALM_SAMPLES = 3
"""So many samples in a row without a late row are no chance."""
SHOWN_SECONDS = 5.0


class Sample(NamedTuple):
    """One look at the relay."""

    at: float
    """Seconds since the brokers were back."""
    rows: int
    """Delivered by the process so far."""
    state: str
    """Of the flow: Free, Ramping, ..."""
    allowed: float | None
    """Rows per second; None for any."""
    reason: str
    memory_mb: float
    lag: float
    """Age in seconds of the oldest pending row."""


def normal_after(samples: Sequence[Sample]) -> float | None:
    """Seconds until no row is late for good, as far as the samples go; None while one is, or too few say so."""
    late = [number for number, sample in enumerate(samples) if sample.lag >= NORMAL_SECONDS]
    first = late[-1] + 1 if late else 0
    return samples[first].at if len(samples) - first >= CALM_SAMPLES else None


def ramp_percent(samples: Sequence[Sample]) -> float:
    """Rows that were delivered while the rate ramped and rows were late, in percent of what the ramp allowed.

    Without late rows less is delivered because there is no more to deliver. 0 without a ramp.
    """
    delivered = allowed = 0.0
    for one, other in pairwise(samples):
        if min(one.lag, other.lag) < NORMAL_SECONDS:
            continue
        if one.state == other.state == "Ramping" and one.allowed is not None and other.allowed is not None:
            delivered += other.rows - one.rows
            allowed += (other.at - one.at) * (one.allowed + other.allowed) / 2
    return 100 * delivered / allowed if allowed else 0.0


def lines(samples: Sequence[Sample]) -> list[str]:
    """A table of pieces of SHOWN_SECONDS, up to the last sample."""
    found = [f"{'after':>8}{'delivered':>14}{'allowed':>12}  {'oldest row':>10}  flow"]
    start = samples[0] if samples else None
    for sample in samples[1:]:
        if start is None or (sample.at - start.at < SHOWN_SECONDS - 0.5 and sample is not samples[-1]):
            continue
        rate = (sample.rows - start.rows) / max(0.001, sample.at - start.at)
        allowed = "any" if sample.allowed is None else f"{sample.allowed:,.0f}/s"
        flow = f"{sample.state} {sample.reason}".rstrip()
        found.append(f"{sample.at:>6.0f} s{rate:>12,.0f}/s{allowed:>12}  {sample.lag:>8.1f} s  {flow}")
        start = sample
    return found
