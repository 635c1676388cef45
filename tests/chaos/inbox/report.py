"""What many runs showed together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.support.docs_section import write_section

from .plan import FAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .run import Result

PAGE = Path("docs/consumers.md")
SECTION = "inbox runs"


def table(results: Sequence[Result]) -> str:
    """Figures of all runs, as Markdown."""
    found = [result.judged for result in results]
    happened = Counter(step.fault for result in results for step in result.plan.steps)
    seconds = [result.recovery for result in results]
    seeds = [result.plan.seed for result in results]
    rows = [
        ("Runs (seeds)", f"{len(results)} ({min(seeds)} to {max(seeds)})"),
        ("Runs that failed", str(sum(not result.passed for result in results))),
        ("Events committed", f"{sum(one.committed for one in found):,}"),
        ("**Not processed**", f"**{sum(one.lost for one in found)}**"),
        ("**Processed twice**", f"**{sum(one.twice for one in found)}**"),
        ("**Out of order within their key**", f"**{sum(one.inversions for one in found)}**"),
        ("Processed though never committed", str(sum(one.phantoms for one in found))),
        ("Repeats in the topic", f"{sum(result.repeats for result in results):,}"),
        ("From the last fault until all is processed", f"median {median(seconds):.1f} s, at most {max(seconds):.1f} s"),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    lines += ["", "| Fault | Times |", "|---|---|"]
    lines += [f"| {name[0].upper()}{name[1:]} | {happened[kind]} |" for kind, name in FAULTS.items()]
    return "\n".join(lines)


def write_docs(results: Sequence[Result]) -> None:
    """Into docs/consumers.md."""
    write_section(PAGE, SECTION, table(results))
