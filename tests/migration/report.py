"""What one run showed: on the screen, and as a section of the how-to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.benchmarks import debezium_build
from tests.migration import page, sightings
from tests.migration.run import FLUSH_SECONDS, KEYS, PER_SECOND
from tests.support.docs_section import write_section

if TYPE_CHECKING:
    from tests.migration.run import Findings

SECTION = "a switch that was made"
HEAD = (
    "| Change to the relay | Step 4 took | Connector gone after | Relay ready after | Nothing came for | Repeated |\n"
    "|---|---|---|---|---|---|"
)


def text(found: Findings, versions: dict[str, str]) -> str:
    """The figures of a run that showed no problem."""
    rows = "\n".join(_row(found, number) for number in range(len(found.changes)))
    return f"{_conditions(found, versions)}\n\n{HEAD}\n{rows}\n\n{_judgement(found)}\n\n{_seen(found)}"


def _conditions(found: Findings, versions: dict[str, str]) -> str:
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{named}, Debezium {debezium_build.VERSION}; {PER_SECOND:.0f} events a second of {KEYS} keys; "
        f"`offset.flush.interval.ms` {FLUSH_SECONDS * 1000}; {os.cpu_count()} processors, load average "
        f"{min(found.loads):.0f} to {max(found.loads):.0f}."
    )


def _judgement(found: Findings) -> str:
    judged, (compared, _) = found.verdict, sightings.both(found.turns)
    back = " and ".join(str(sightings.repeats(found.turns, number)) for number in range(2, len(found.turns), 2))
    slowest = 0.0 if judged.latency is None else judged.latency.worst / 1000
    return (
        f"{judged.committed:,} events: lost {len(judged.lost)}, out of order within a key {len(judged.inversions)}, "
        f"the slowest {slowest:.1f} s from commit to consumer. {compared:,} were sent by both, the same byte for byte: "
        f"topic, partition, key, value, `id` and `eventType`. On the two ways back Debezium repeated {back}."
    )


def _seen(found: Findings) -> str:
    rows = f"{found.rows_when_quiet} more {'row' if found.rows_when_quiet == 1 else 'rows'}"
    return (
        f"Headers of Debezium: {_names(found, by_relay=False)}; of the relay: {_names(found, by_relay=True)}. "
        f"While nobody wrote, step 4 needed {rows}."
    )


def write_docs(found: Findings, versions: dict[str, str]) -> None:
    """Into the how-to."""
    write_section(page.PAGE, SECTION, text(found, versions))


def _row(found: Findings, number: int) -> str:
    change, turn = found.changes[number], 2 * number + 1
    seconds = (change.confirmed, change.stopped, change.started, sightings.silence(found.turns, turn))
    repeated = f"{sightings.repeats(found.turns, turn)} events"
    return f"| {number + 1} | {' | '.join(f'{value:.1f} s' for value in seconds)} | {repeated} |"


def _names(found: Findings, *, by_relay: bool) -> str:
    return ", ".join(f"`{name}`" for name in sightings.header_names(found.seen, by_relay=by_relay))
