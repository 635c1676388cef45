"""What one run of the pipe does, decided by its seed alone. Pure."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

FAULTS = {
    "consumer_killed": "consumer killed (kill -9) and started again",
    "consumer_frozen": "consumer frozen (SIGSTOP) for 0.5 to 9 s: past 6 s another takes its partitions",
    "consumer_restarted": "consumer restarted in order",
    "relay_killed": "relay killed (kill -9) and started again",
    "sessions_ended": "database sessions of consumers ended (pg_terminate_backend)",
    "copies": "20 to 60 messages of the topic produced again",
}
"""Every kind of fault, and how people call it."""
WEIGHTS = {"consumer_killed": 4, "consumer_frozen": 2, "consumer_restarted": 1, "relay_killed": 2, "sessions_ended": 1,
           "copies": 2}  # fmt: skip
CHAOS_SECONDS = 8.0


class Step(NamedTuple):
    """One fault."""

    at: float
    """Seconds after the start."""
    fault: str
    seconds: float
    """How long a consumer is frozen; 0 for the others."""
    pick: int
    """Chooses among consumers and messages."""


class Plan(NamedTuple):
    """One run."""

    seed: int
    consumers: int
    keys: int
    rows_per_second: int
    static: bool
    """group.instance.id: a consumer that comes back gets its partitions back at once."""
    strategy: str
    steps: tuple[Step, ...]


def plan_of(seed: int) -> Plan:
    """The run of ``seed``: the same one whenever it is asked for."""
    random = Random(seed)
    kinds = ["consumer_killed", "relay_killed", "copies"]
    kinds += random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=random.randint(3, 6))
    steps = [
        Step(
            round(random.uniform(0.5, CHAOS_SECONDS), 2),
            kind,
            round(random.uniform(0.5, 9.0), 2) if kind == "consumer_frozen" else 0.0,
            random.randrange(2**16),
        )
        for kind in kinds
    ]
    return Plan(
        seed,
        consumers=random.randint(2, 3),
        keys=random.choice((3, 20, 200)),
        rows_per_second=random.choice((60, 120, 200)),
        static=random.random() < 0.5,
        strategy=random.choice(("range,roundrobin", "cooperative-sticky")),
        steps=tuple(sorted(steps)),
    )
