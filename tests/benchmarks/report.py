"""The figures of one run: beside their targets on the screen, and as a table in docs/performance.md."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path("docs/performance.md")
BEGIN = "<!-- figures: make bench writes them with --write-docs -->"
END = "<!-- end of figures -->"


class Target(NamedTuple):
    """What a figure is meant to be."""

    sign: str
    value: float

    def is_met(self, found: float) -> bool:
        """Whether ``found`` is as good."""
        return found >= self.value if self.sign == "≥" else found <= self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}"


TARGETS = {
    "throughput_vs_floor": Target("≥", 0.75),
    "throughput_vs_debezium": Target("≥", 3),
    "latency_p99_ms_1000": Target("≤", 60),
    "latency_p50_ms_1000_doorbell": Target("≤", 6),
    "latency_p99_ms_1000_doorbell": Target("≤", 25),
    "backlog_scaling_5m_vs_10k": Target("≥", 0.85),
    "held_snapshot_loss_percent": Target("≤", 10),
    "held_transaction_loss_percent": Target("≤", 10),
    "held_insert_loss_percent": Target("≤", 10),
    "writer_slowdown_percent": Target("≤", 3),
    "poison_slowdown_percent": Target("≤", 10),
    "poison_slowdown_quarantine_percent": Target("≤", 10),
    "missing_topic_slowdown_percent": Target("≤", 10),
    "missing_topic_heals_seconds": Target("≤", 30),
    "outage_attempts_per_minute": Target("≤", 30),
    "outage_cpu_percent": Target("≤", 5),
    "outage_memory_growth_mb": Target("≤", 5),
    "outage_ramp_percent": Target("≤", 105),
    "outage_recovery_seconds": Target("≤", 60),
    "outage_frozen_attempts_per_minute": Target("≤", 30),
    "outage_frozen_cpu_percent": Target("≤", 5),
    "outage_frozen_memory_growth_mb": Target("≤", 5),
    "outage_frozen_ramp_percent": Target("≤", 105),
    "outage_frozen_recovery_seconds": Target("≤", 60),
    "relay_rss_mb": Target("≤", 90),
    "idle_cpu_percent": Target("≤", 1.5),
    "fleet_500_first_look_seconds": Target("≤", 120),
    "fleet_500_cpu_percent": Target("≤", 50),
    "fleet_500_rss_mb": Target("≤", 250),
    "fleet_500_status_writes_per_s": Target("≤", 20),
    "fleet_500_probe_gap_source_seconds": Target("≤", 10),
    "fleet_500_probe_gap_target_seconds": Target("≤", 10),
    "fleet_500_probe_gap_pods_seconds": Target("≤", 10),
    "fleet_cpu_growth": Target("≤", 1.1),
}
"""On two cores that the relay shares with PostgreSQL, Kafka and whatever it is compared with."""

MEANINGS = {
    "throughput_vs_floor": "Relay, as a share of the bare loop in turns with it",
    "throughput_per_s": "Relay, events/s from the first to the last row",
    "floor_per_s": "The bare loop, events/s",
    "relay_rss_mb": "Relay after a drain, MB resident",
    "relay_peak_mb": "Relay during a drain, MB at most",
    "throughput_vs_debezium": "Relay, times Debezium, whole drain from the start",
    "throughput_vs_debezium_steady": "Relay, times Debezium, from the first message to the last",
    "debezium_per_s": "Debezium, events/s, whole drain",
    "debezium_steady_per_s": "Debezium, events/s from its first message",
    "relay_whole_per_s": "Relay, events/s, whole drain from the start of its process",
    "relay_steady_per_s": "Relay, events/s from its first message",
    "throughput_vs_skip_locked_100": "Relay, times the textbook loop with batches of 100",
    "skip_locked_100_per_s": "The textbook loop with batches of 100, events/s",
    "throughput_vs_skip_locked_5000": "Relay, times the textbook loop with batches of 5,000",
    "skip_locked_5000_per_s": "The textbook loop with batches of 5,000, events/s",
    "latency_p50_ms_100": "COMMIT to consumer at 100/s by polling, median ms",
    "latency_p99_ms_100": "the same, 99th percentile",
    "latency_p50_ms_1000": "COMMIT to consumer at 1,000/s by polling, median ms",
    "latency_p99_ms_1000": "the same, 99th percentile",
    "latency_p50_ms_100_doorbell": "COMMIT to consumer at 100/s with the doorbell, median ms",
    "latency_p99_ms_100_doorbell": "the same, 99th percentile",
    "latency_p50_ms_1000_doorbell": "COMMIT to consumer at 1,000/s with the doorbell, median ms",
    "latency_p99_ms_1000_doorbell": "the same, 99th percentile",
    "writer_slowdown_percent": "Saturating writers, % of their transactions lost to doorbell and relay",
    "writer_slowdown_polling_percent": "the same, lost to a relay that polls",
    "writer_slowdown_trigger_percent": "the same, lost to the doorbell's trigger alone",
    "writer_slowdown_doorbell_percent": "the same, lost to a relay with the doorbell more than to one that polls",
    "writer_half_load_added_percent": "Writers at half that rate, % added to a transaction's time",
    "writer_half_load_added_polling_percent": "the same, by a relay that polls",
    "writer_half_load_added_trigger_percent": "the same, by the doorbell's trigger alone",
    "writer_rings_per_s": "Saturating writers with relay and doorbell: notifications/s",
    "writer_transactions_per_s": "Saturating writers alone, transactions/s",
    "held_snapshot_loss_percent": "% of throughput lost while a session holds an old snapshot",
    "held_transaction_loss_percent": "the same, a transaction that wrote to another table",
    "held_insert_loss_percent": "the same, a transaction that wrote to the outbox table",
    "backlog_scaling_10k_per_s": "Events/s while 10 thousand rows wait",
    "backlog_scaling_100k_per_s": "Events/s while 100 thousand rows wait",
    "backlog_scaling_1m_per_s": "Events/s while 1 million rows wait",
    "backlog_scaling_5m_per_s": "Events/s while 5 million rows wait",
    "backlog_scaling_5m_vs_10k": "Rate at 5 million as a share of that at 10 thousand",
    "poison_slowdown_percent": "10,000 rows, 20 poison that hold their keys: % longer for all that is not behind one",
    "poison_slowdown_quarantine_percent": "the same, where poison rows go to quarantine",
    "poison_clean_ms": "The same rows without poison, ms from the first record to the last",
    "missing_topic_slowdown_percent": "One of ten topics missing: % longer for the rows of the nine",
    "missing_topic_p99_ms": "One of ten missing, 1,000/s: COMMIT to append in the nine, 99th percentile ms",
    "missing_topic_p99_ms_all_there": "the same, all ten there",
    "missing_topic_heals_seconds": "Missing topic made, until all of its rows are there, s at most",
    "outage_attempts_per_minute": "Kafka stopped for 60 s at 500 events/s: attempts a minute to reach it",
    "outage_cpu_percent": "the same, relay's % of one core",
    "outage_statements_per_s": "the same, relay's statements/s in the database",
    "outage_memory_growth_mb": "the same, MB that the relay grew by at most",
    "outage_memory_mb_afterwards": "Kafka back: relay, MB resident at most until it has caught up",
    "outage_ramp_percent": "Kafka back: rows delivered while the rate ramps, % of what the ramp allows",
    "outage_recovery_seconds": "Kafka back, until no row is late by a second any more, s",
    "outage_duplicates": "Kafka back: events that arrived twice; lost and inverted: 0, or there is no figure",
    "outage_frozen_attempts_per_minute": "Kafka frozen for 60 s instead: attempts a minute to reach it",
    "outage_frozen_cpu_percent": "the same, relay's % of one core",
    "outage_frozen_statements_per_s": "the same, relay's statements/s in the database",
    "outage_frozen_memory_growth_mb": "the same, MB that the relay grew by at most",
    "outage_frozen_memory_mb_afterwards": "Kafka thawed: relay, MB resident at most until it has caught up",
    "outage_frozen_ramp_percent": "Kafka thawed: rows delivered while the rate ramps, % of what the ramp allows",
    "outage_frozen_recovery_seconds": "Kafka thawed, until no row is late by a second any more, s",
    "outage_frozen_duplicates": "Kafka thawed: events that arrived twice; lost and inverted: 0, or there is no figure",
    "relay_rss_mb_max": "Relay with rows of 1 MB, MB at most",
    "large_rows_per_s": "Rows of 1 MB, rows/s",
    "idle_cpu_percent": "Relay with nothing to do, % of one core",
    "idle_queries_per_s": "Relay with nothing to do, statements/s",
    "controller_rss_mb": "Controller with one relay, MB resident",
}
FLEET_MEANINGS = {
    "first_look_seconds": "{} relays: start of the controller until each has a status, s",
    "cpu_percent": "the same, then: % of one core",
    "rss_mb": "the same, then: MB resident",
    "status_writes_per_s": "the same, then: statuses written/s while every backlog moves",
    "writes_per_s": "the same, then: all writes/s",
    "reads_per_s": "the same, then: gets and lists/s",
    "looks_per_s": "the same, then: looks/s; a fifth of the relays where the controller keeps up",
    "probe_gap_source_seconds": "the same, one database hung: longest gap between answers of another, s, rounded up",
    "probe_gap_target_seconds": "the same, of brokers",
    "probe_gap_pods_seconds": "the same, of pods",
}
MEANINGS |= {f"fleet_{n}_{name}": text.format(n) for n in (50, 200, 500) for name, text in FLEET_MEANINGS.items()}
MEANINGS["fleet_cpu_growth"] = "What a relay costs among 500, times what it costs among 200"


def table(figures: Mapping[str, float]) -> str:
    """The figures and, where one is set, the target of each."""
    lines = [f"{'figure':<36}{'value':>12}  target"]
    for name, value in figures.items():
        target = TARGETS.get(name)
        note = f"{target}{'' if target.is_met(value) else '   MISSED'}" if target else ""
        lines.append(f"{name:<36}{value:>12,g}  {note}".rstrip())
    return "\n".join(lines)


def machine(versions: Mapping[str, str]) -> str:
    """The machine in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{os.cpu_count()} cores", f"{memory:.0f} GiB of memory", f"{platform.system()} {platform.machine()}"]
    parts += [f"{name} {version}" for name, version in {**versions, "Python": platform.python_version()}.items()]
    return f"Machine of this table: {', '.join(parts)}; everything on it, servers included, over one network namespace."


def markdown(figures: Mapping[str, float], versions: Mapping[str, str]) -> str:
    """The section of the page, in the order of ``MEANINGS``."""
    lines = [machine(versions), "", "| Figure | Meaning | Value | Target |", "| --- | --- | ---: | --- |"]
    for name, meaning in MEANINGS.items():
        if name in figures:
            target = TARGETS.get(name)
            goal = f"{target}{'' if target.is_met(figures[name]) else ', missed'}" if target else ""
            lines.append(f"| `{name}` | {meaning} | {figures[name]:,g} | {goal} |")
    return "\n".join(lines)


def write_docs(figures: Mapping[str, float], versions: Mapping[str, str], page: Path = PAGE) -> None:
    """Replace the marked section of the page; raises SystemExit where the marks are not there."""
    before, found, rest = page.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{page} has no section between {BEGIN!r} and {END!r}: put these two lines where it belongs")
    page.write_text(f"{before}{BEGIN}\n{markdown(figures, versions)}\n{END}{after}")
