"""What many runs showed together: on the screen, in .chaos/latest.json, and as a table in docs/reliability.md."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .plan import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .run import Result

PAGE = Path("docs/reliability.md")
BEGIN = "<!-- last run: make chaos-relay writes it with WRITE_DOCS=1 -->"
END = "<!-- end of last run -->"


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Figures of all runs; counts of events, seconds."""
    recoveries = sorted(result.recovery for result in results)
    duplicates = [result.verdict.duplicates for result in results]
    happened: Counter[str] = Counter()
    for result in results:
        happened.update(result.faults)
    return {
        "runs": len(results),
        "failed_runs": sum(not result.passed for result in results),
        "committed": sum(result.verdict.committed for result in results),
        "lost": sum(len(result.verdict.lost) for result in results),
        "inversions": sum(len(result.verdict.inversions) for result in results),
        "phantoms": sum(len(result.verdict.phantoms) for result in results),
        "duplicates": sum(duplicates),
        "duplicates_in_a_run_median": statistics.median(duplicates),
        "duplicates_in_a_run_most": max(duplicates),
        "poison_rows": sum(result.poison for result in results),
        "recovery_seconds_median": round(statistics.median(recoveries), 1),
        "recovery_seconds_most": round(recoveries[-1], 1),
        "faults": {kind: happened[kind] for kind in FAULTS},
        "settings": _settings(results),
        "seeds": [min(result.plan.seed for result in results), max(result.plan.seed for result in results)],
        "minutes": round(sum(result.seconds for result in results) / 60, 1),
    }


def _settings(results: Sequence[Result]) -> dict[str, int]:
    """How often each choice of a setting was drawn."""
    counts: Counter[str] = Counter()
    for result in results:
        setting = result.plan.setting
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
    names = [name for name, value in figures.items() if not isinstance(value, (dict, list))]
    lines = [f"{name.replace('_', ' '):<32}{figures[name]:>12,}" for name in names]
    lines += ["", f"{'fault':<68}{'times':>6}"]
    lines += [f"{FAULTS[kind]:<68}{count:>6}" for kind, count in figures["faults"].items()]
    return "\n".join(lines)


def markdown(figures: Mapping[str, Any]) -> str:
    """For the page."""
    first, last = figures["seeds"]
    repeated = (
        f"{figures['duplicates']:,} (in a run: median {figures['duplicates_in_a_run_median']:g}, "
        f"at most {figures['duplicates_in_a_run_most']:,})"
    )
    verdict = [
        ("Runs (seeds)", f"{figures['runs']} ({first} to {last})"),
        ("Runs that failed", f"{figures['failed_runs']}"),
        ("Events committed", f"{figures['committed']:,}"),
        ("**Lost**", f"**{figures['lost']}**"),
        ("**Out of order within their key**", f"**{figures['inversions']}**"),
        ("Arrived though never committed", f"{figures['phantoms']}"),
        ("Repeated, with the same event id", repeated),
        ("Poison rows, all brought back or in their place", f"{figures['poison_rows']}"),
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
