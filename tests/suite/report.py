"""What people read of the suite: how far it is, how long each part took, and at the very end what failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .part import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PERCENT = re.compile(r"\[ *(\d+)%\]")
_SUMMARY = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)
_VERBOSE = re.compile(r"^\S+::.* (?:FAILED|ERROR)\b.*$", re.MULTILINE)
"""The lines of tests that failed, in pytest's summary, and before it came to that."""
_LAST_LINES = 15
_WIDTH = 48


class Result(NamedTuple):
    """How a part went."""

    outcome: Outcome
    began: float = 0.0
    """Seconds after the suite's beginning."""
    seconds: float = 0.0
    output: str = ""


def how_far(output: str) -> str:
    """Of a part that runs: the share of its tests that are done, or the last thing it said."""
    if percents := _PERCENT.findall(output):
        return f"{percents[-1]}%"
    lines = output.split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said if len(said) <= _WIDTH else f"{said[: _WIDTH - 1]}…"


def progress(passed: float, ended: Mapping[str, Result], running: Mapping[str, str]) -> str:
    """One line; ``running`` has the output of what runs."""
    parts = [f"{name}: {how_far(output)}".removesuffix(": ") for name, output in running.items()]
    return f"[{clock(passed)}] {len(ended)} parts done; " + " | ".join(parts)


def table(total: float, ended: Mapping[str, Result]) -> str:
    """One row for each part, in the order in which they began."""
    name_width = max(map(len, ("part", *ended))) + 2
    rows = [f"{'part':<{name_width}}{'':<14}{'began at':>10}{'took':>10}"]
    for name, result in sorted(ended.items(), key=lambda item: (item[1].outcome is Outcome.NOT_RUN, item[1].began)):
        times = f"{clock(result.began):>10}{result.seconds:>8.1f} s" if result.outcome is not Outcome.NOT_RUN else ""
        rows.append(f"{name:<{name_width}}{result.outcome:<14}{times}".rstrip())
    well = all(result.outcome is Outcome.OK for result in ended.values())
    rows.append(f"{'all':<{name_width}}{'ok' if well else 'FAILED':<14}{'':>10}{total:>8.1f} s")
    return "\n".join(rows)


def failures(ended: Mapping[str, Result]) -> str:
    """What failed, part by part: the names of tests, or the last lines where there are none."""
    told = [
        f"{name} {result.outcome}:\n" + "\n".join(f"  {line}" for line in _why(result.output))
        for name, result in ended.items()
        if result.outcome in (Outcome.FAILED, Outcome.INTERRUPTED)
    ]
    return "\n".join(told)


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _why(output: str) -> Sequence[str]:
    return _SUMMARY.findall(output) or _VERBOSE.findall(output) or output.rstrip().split("\n")[-_LAST_LINES:]
