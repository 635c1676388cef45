"""Two relays on one table would deliver every row twice and in no order: the younger is refused."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A table as far as its address tells."""

    hosts: tuple[tuple[str, int], ...]
    database: str
    schema: str
    table: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A relay that wants a table."""

    relay: str
    """namespace/name."""
    created: str
    """creationTimestamp of the OutboxRelay; RFC 3339 in UTC sorts by time."""
    place: TablePlace


def older_claim(mine: Claim, others: Iterable[Claim]) -> Claim | None:
    """The claim on the same table that precedes ``mine``, if there is one."""
    same = (other for other in others if other.relay != mine.relay and _overlap(other.place, mine.place))
    first = min(same, key=_seniority, default=None)
    return first if first is not None and _seniority(first) < _seniority(mine) else None


def _overlap(one: TablePlace, other: TablePlace) -> bool:
    if (one.database, one.schema, one.table) != (other.database, other.schema, other.table):
        return False
    return bool(set(one.hosts) & set(other.hosts))


def _seniority(claim: Claim) -> tuple[str, str]:
    return claim.created, claim.relay
