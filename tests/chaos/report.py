"""What many runs showed together: on the screen, in .chaos/latest.json, and as a table in docs/reliability.md."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .plan import FAULTS, plan_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plan import Plan
    from .run import Result

KEPT = Path(".chaos")
RUNS = "runs.jsonl"
NEAR = 10
PAGE = Path("docs/reliability.md")
BEGIN = "<!-- last run: make chaos-relay writes it with WRITE_DOCS=1 -->"
END = "<!-- end of last run -->"


class Record(NamedTuple):
    """What is kept of one run: a line of .chaos/runs.jsonl. What its seed decides is not written down again."""

    seed: int
    committed: int
    lost: int
    inversions: int
    phantoms: int
    duplicates: int
    problems: int
    recovery: float
    """Seconds from the end of the last fault until all was delivered."""

    @property
    def passed(self) -> bool:
        """Nothing lost, inverted or invented, and nothing else wrong."""
        return not (self.lost or self.inversions or self.phantoms or self.problems)


def record_of(result: Result) -> Record:
    """What is kept of ``result``."""
    found = result.verdict
    return Record(
        seed=result.plan.seed,
        committed=found.committed,
        lost=len(found.lost),
        inversions=len(found.inversions),
        phantoms=len(found.phantoms),
        duplicates=found.duplicates,
        problems=len(result.problems),
        recovery=round(result.recovery, 1),
    )


def keep(record: Record) -> None:
    """Add a line; runs go on side by side, and a line is written at once."""
    KEPT.mkdir(exist_ok=True)
    with (KEPT / RUNS).open("a") as file:
        file.write(json.dumps(record._asdict()) + "\n")


def kept() -> list[Record]:
    """Every run that was kept, by its seed."""
    file = KEPT / RUNS
    lines = file.read_text().splitlines() if file.exists() else []
    return sorted(Record(**json.loads(line)) for line in lines)


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Figures of all runs; counts of events, seconds."""
    recoveries = [record.recovery for record in records]
    duplicates = [record.duplicates for record in records]
    plans = [plan_of(record.seed) for record in records]
    happened = Counter(step.fault for plan in plans for step in plan.steps)
    return {
        "runs": len(records),
        "failed_runs": sum(not record.passed for record in records),
        "committed": sum(record.committed for record in records),
        "lost": sum(record.lost for record in records),
        "inversions": sum(record.inversions for record in records),
        "phantoms": sum(record.phantoms for record in records),
        "duplicates": sum(duplicates),
        "duplicates_in_a_run_median": statistics.median(duplicates),
        "duplicates_in_a_run_most": max(duplicates),
        "runs_with_poison_rows": sum("poison_rows" in {step.fault for step in plan.steps} for plan in plans),
        "recovery_seconds_median": round(statistics.median(recoveries), 1),
        "recovery_seconds_most": round(max(recoveries), 1),
        "faults": {kind: happened[kind] for kind in FAULTS},
        "settings": _settings(plans),
        "seeds": _ranges([record.seed for record in records]),
    }


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds that follow each other closely as one range."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed - parts[-1][-1] <= NEAR:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]} to {part[-1]}" for part in parts)


def _settings(plans: Sequence[Plan]) -> dict[str, int]:
    """How often each choice of a setting was drawn."""
    counts: Counter[str] = Counter()
    for plan in plans:
        setting = plan.setting
        counts.update(
            [
                f"ordering {setting.mode}",
                f"visibility {setting.visibility}",
                f"afterDelivery {setting.after_delivery}",
                f"poison {setting.poison}",
                "doorbell" if setting.doorbell else "polling",
            ]
        )
        if setting.in_flight_per_key == "One":
            counts["inFlightPerKey One"] += 1
    return dict(sorted(counts.items()))


def table(figures: Mapping[str, Any]) -> str:
    """For a terminal."""
    names = [name for name, value in figures.items() if not isinstance(value, dict)]
    lines = [f"{name.replace('_', ' '):<32}{_shown(figures[name]):>12}" for name in names]
    lines += ["", f"{'fault':<68}{'times':>6}"]
    lines += [f"{FAULTS[kind]:<68}{count:>6}" for kind, count in figures["faults"].items()]
    return "\n".join(lines)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def markdown(figures: Mapping[str, Any]) -> str:
    """For the page."""
    repeated = (
        f"{figures['duplicates']:,} (in a run: median {figures['duplicates_in_a_run_median']:g}, "
        f"at most {figures['duplicates_in_a_run_most']:,})"
    )
    verdict = [
        ("Runs (seeds)", f"{figures['runs']} ({figures['seeds']})"),
        ("Runs that failed", f"{figures['failed_runs']}"),
        ("Events committed", f"{figures['committed']:,}"),
        ("**Lost**", f"**{figures['lost']}**"),
        ("**Out of order within their key**", f"**{figures['inversions']}**"),
        ("Arrived though never committed", f"{figures['phantoms']}"),
        ("Repeated, with the same event id", repeated),
        ("Runs with poison rows, all brought back or in their place", f"{figures['runs_with_poison_rows']}"),
        (
            "From the end of the last fault until all is delivered",
            f"median {figures['recovery_seconds_median']:g} s, at most {figures['recovery_seconds_most']:g} s",
        ),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in verdict)]
    lines += ["", "| Fault | Times |", "|---|---|"]
    lines += [f"| {FAULTS[kind][0].upper()}{FAULTS[kind][1:]} | {count} |" for kind, count in figures["faults"].items()]
    drawn = ", ".join(f"{name} {count}" for name, count in figures["settings"].items())
    return "\n".join([*lines, "", f"Settings, in runs: {drawn}."])


def write_docs(figures: Mapping[str, Any], page: Path = PAGE) -> None:
    """Replace the marked section of the page; raises SystemExit where the marks are not there."""
    before, found, rest = page.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{page} has no section between {BEGIN!r} and {END!r}: put these two lines where it belongs")
    page.write_text(f"{before}{BEGIN}\n{markdown(figures)}\n{END}{after}")
