"""Who leads, decided from the Lease as it was last seen and from our own clock: no two clocks are compared."""

from dataclasses import dataclass
from enum import StrEnum

DURATION_SECONDS = 15
"""A Lease that nobody renewed for this long may be taken."""
RENEW_DEADLINE_SECONDS = 10.0
"""A leader that could not renew for this long stops leading, before anybody may take over."""
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says."""

    holder: str
    """Empty when it was released."""
    duration: int
    transitions: int
    renewed: str
    """The holder's own time stamp; only ever compared with itself."""
    version: str
    """resourceVersion: a write fails when somebody wrote in between."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease, and when this record of it was first seen here."""

    record: LeaseRecord
    at: float


class Step(StrEnum):
    """What to do next."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def sighted(before: Sighting | None, record: LeaseRecord | None, now: float) -> Sighting | None:
    """The sighting after one more look: a holder is alive as long as its record changes."""
    if record is None:
        return None
    same = before is not None and (before.record.holder, before.record.renewed) == (record.holder, record.renewed)
    return Sighting(record, before.at if same and before is not None else now)


def next_step(sighting: Sighting | None, me: str, now: float) -> Step:
    """What ``me`` does about the Lease."""
    if sighting is None:
        return Step.CREATE
    record = sighting.record
    if record.holder == me:
        return Step.RENEW
    if not record.holder or now - sighting.at >= record.duration:
        return Step.TAKE
    return Step.WAIT


def must_stop(renewed_at: float, now: float) -> bool:
    """Whether a leader that last renewed at ``renewed_at`` may no longer act as one."""
    return now - renewed_at >= RENEW_DEADLINE_SECONDS
