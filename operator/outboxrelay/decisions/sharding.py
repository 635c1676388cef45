"""Who owns which slice of the key space: slots of advisory locks, fair shares, and what to take and give back.

Every member sees the same locks and computes the same shares, so that no member has to tell another anything.
"""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

MEMBER_BASE = 0x8000
MAX_MEMBERS = 0x1000
SLOT_BITS = 16


@dataclass(frozen=True, slots=True)
class Holding:
    """The locks of one relay, as the database shows them."""

    members: tuple[int, ...]
    """Member numbers in ascending order."""
    owners: dict[int, int]
    """Shard → process id of the session that holds it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one member does next, and why."""

    release: tuple[int, ...]
    acquire: tuple[int, ...]
    share: int
    reason: str


def lock_base(uid: str) -> int:
    """The lowest lock key of a relay: 48 bits of its uid's hash above 16 bits for the slot, as a signed 64-bit int."""
    digest = int.from_bytes(blake2b(uid.encode(), digest_size=6).digest(), "big")
    unsigned = digest << SLOT_BITS
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def free_member(members: Collection[int], tried: Collection[int] = ()) -> int | None:
    """The lowest member number that nobody has and that is not in ``tried``."""
    taken = {*members, *tried}
    return next((number for number in range(MAX_MEMBERS) if number not in taken), None)


def fair_share(shards: int, members: int, rank: int) -> int:
    """Number of shards of the member with ``rank`` (0 is the first)."""
    return shards // members + (1 if rank < shards % members else 0)


def plan(shards: int, holding: Holding, member: int, mine: Collection[int], taking: bool) -> Plan:
    """What ``member`` gives back and tries to take; ``mine`` are the shards that it owns and serves.

    ``taking`` False (paused or stopping) gives everything back.
    """
    held = sorted(mine)
    if not taking:
        return Plan(release=tuple(held), acquire=(), share=0, reason="this member takes no shards")
    members = sorted({*holding.members, member})
    rank = members.index(member)
    share = fair_share(shards, len(members), rank)
    reason = f"{share} of {shards} shards for member {rank + 1} of {len(members)}"
    if len(held) > share:
        return Plan(release=tuple(held[share:]), acquire=(), share=share, reason=reason)
    free = [shard for shard in range(shards) if shard not in holding.owners and shard not in mine]
    # Members start at different places, so that two that look at once rarely try for the same shard.
    start = rank * len(free) // len(members)
    rotated = free[start:] + free[:start]
    return Plan(release=(), acquire=tuple(rotated[: share - len(held)]), share=share, reason=reason)
