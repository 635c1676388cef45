"""What one run does, decided by its seed alone: how the relay is set up, and which faults come when. Pure."""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

FAULTS = {
    "relay_killed": "relay killed (kill -9) and started again",
    "relay_frozen": "relay frozen (SIGSTOP) for 1 to 20 s",
    "relay_joins": "relay joins",
    "relay_leaves": "relay leaves (SIGTERM)",
    "broker_restarted": "broker restarted in order",
    "broker_killed": "broker killed (kill -9) and started again",
    "broker_frozen": "broker frozen (SIGSTOP) for 1 to 12 s",
    "sessions_ended": "database sessions ended (pg_terminate_backend)",
    "postgres_restarted": "PostgreSQL restarted",
    "postgres_crashed": "PostgreSQL killed (kill -9) and started again",
    "postgres_frozen": "PostgreSQL frozen (SIGSTOP) for 1 to 8 s",
    "standby_promoted": "primary killed, its standby promoted",
    "network_cut": "network of a relay cut, silently, one way or both, for 1 to 18 s",
    "network_slow": "network of a relay slow and lossy for 2 to 10 s",
    "poison_rows": "poison rows",
    "late_commits": "wave of late commits and rollbacks",
    "burst": "burst of 2,000 rows",
}
"""Every kind of fault, and how people call it."""

LENGTHS = {
    "relay_killed": (0.2, 3.0),
    "relay_frozen": (1.0, 20.0),
    "broker_killed": (0.5, 6.0),
    "broker_frozen": (1.0, 12.0),
    "postgres_crashed": (0.0, 3.0),
    "postgres_frozen": (1.0, 8.0),
    "standby_promoted": (0.0, 4.0),
    "network_cut": (1.0, 18.0),
    "network_slow": (2.0, 10.0),
}
"""Seconds that a fault lasts, at least and at most; the others are over at once."""

CHAOS_SECONDS = 12.0
"""The last fault begins within so long."""
MEMBERS_AT_MOST = 4


Mode = Literal["PerKey", "Strict", "None"]
MODES: tuple[Mode, ...] = ("PerKey", "Strict", "None")


class Setting(NamedTuple):
    """How the relay is set up."""

    members: int
    shards: int
    mode: Mode
    in_flight_per_key: Literal["Batch", "One"]
    visibility: Literal["Committed", "Settled"]
    after_delivery: Literal["Delete", "Mark", "Archive"]
    poison: Literal["HoldKey", "Quarantine", "DeadLetterTopic"]
    doorbell: bool
    batch_size: int
    keys: int
    rows_per_second: int


class Step(NamedTuple):
    """One fault."""

    at: float
    """Seconds after the start."""
    fault: str
    seconds: float
    """How long it lasts; 0 where it is over at once."""
    pick: int
    """Chooses among relays, sessions, variants."""


class Plan(NamedTuple):
    """One run."""

    seed: int
    setting: Setting
    steps: tuple[Step, ...]


def plan_of(seed: int) -> Plan:
    """The run of ``seed``: the same one whenever it is asked for."""
    random = Random(seed)
    setting = _setting(random)
    kinds = [kind for kind in FAULTS if kind != "poison_rows" or setting.mode == "PerKey"]
    count = random.randint(6, 10)
    # Kinds are drawn without repetition first, so that a few dozen runs have had all of them in many pairs.
    chosen = random.sample(kinds, count) + ([random.choice(kinds)] if random.random() < 0.5 else [])
    steps = [
        Step(
            round(random.uniform(0.5, CHAOS_SECONDS), 2),
            kind,
            round(random.uniform(*LENGTHS[kind]), 2) if kind in LENGTHS else 0.0,
            random.randrange(2**16),
        )
        for kind in chosen
    ]
    return Plan(seed, setting, tuple(sorted(steps)))


def _setting(random: Random) -> Setting:
    mode: Mode = random.choices(MODES, weights=(8, 1, 1))[0]
    per_key = mode == "PerKey"
    return Setting(
        members=random.randint(1, 3),
        shards=1 if mode == "Strict" else random.choice((3, 8, 16)),
        mode=mode,
        in_flight_per_key="One" if per_key and random.random() < 0.2 else "Batch",
        visibility="Settled" if random.random() < 0.2 else "Committed",
        after_delivery=random.choices(("Delete", "Mark", "Archive"), weights=(6, 2, 2))[0],
        poison=random.choice(("HoldKey", "Quarantine", "DeadLetterTopic")) if per_key else "HoldKey",
        doorbell=random.random() < 0.5,
        batch_size=random.choice((20, 200, 5000)),
        keys=random.choice((5, 50, 500)),
        rows_per_second=random.choice((100, 300, 600)),
    )
