"""make bench: brings the cluster up, measures inside it, prints a table and writes .bench/latest.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks import controller_memory, idle, latency, throughput
from tests.cluster import netns

LATEST = Path(".bench/latest.json")
CLUSTER = [sys.executable, "-m", "tests.cluster"]
TARGETS: dict[str, tuple[str, float]] = {
    "throughput_vs_floor": (">=", 0.6),
    "latency_p99_ms_1000": ("<=", 60),
    "relay_rss_mb": ("<=", 90),
    "idle_cpu_percent": ("<=", 1.5),
}
Measurement = Callable[[Path], Awaitable[dict[str, float]]]


def measurements(options: argparse.Namespace) -> dict[str, Measurement]:
    """What is measured, by name, in order."""
    return {
        "throughput": lambda folder: throughput.measure(folder, options.rows, options.pairs),
        "latency-100": lambda folder: latency.measure(folder, 100, options.seconds),
        "latency-1000": lambda folder: latency.measure(folder, 1000, options.seconds),
        "idle": lambda folder: idle.measure(folder, options.seconds),
        "controller": controller_memory.measure,
    }


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Every figure of this run."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="outboxrelay-bench-") as folder:
        for name, measurement in measurements(options).items():
            if options.only and name not in options.only:
                continue
            print(f"{name} ...", flush=True)
            figures |= await measurement(Path(folder))
    return figures


def table(figures: dict[str, float]) -> str:
    """The figures and, where one is set, the target of each."""
    lines = [f"{'figure':<24}{'value':>14}  target"]
    for name, value in figures.items():
        sign, target = TARGETS.get(name, ("", 0.0))
        met = not sign or (value >= target if sign == ">=" else value <= target)
        note = f"{sign} {target:g}{'' if met else '   MISSED'}" if sign else ""
        lines.append(f"{name:<24}{value:>14,g}  {note}".rstrip())
    return "\n".join(lines)


def inside(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    figures = asyncio.run(measure(options))
    print("\n" + table(figures))
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nwritten to {LATEST}")


def main() -> None:
    """Bring up what is needed, measure inside, and leave nothing behind that was not there before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="rows of one drain (default 300000)")
    parser.add_argument("--pairs", type=int, default=3, help="drains by floor and relay in turns (default 3)")
    parser.add_argument("--seconds", type=float, default=20, help="length of each steady measurement (default 20)")
    parser.add_argument("--only", action="append", help="throughput, latency-100, latency-1000, idle or controller")
    options = parser.parse_args()
    if os.environ.get("OUTBOXRELAY_CLUSTER"):
        inside(options)
        return
    was_up = netns.exists()
    try:
        subprocess.run([*CLUSTER, "up"], check=True)
        done = subprocess.run([*CLUSTER, "run", "--", sys.executable, "-m", "tests.benchmarks", *sys.argv[1:]])
    finally:
        if not was_up:
            subprocess.run([*CLUSTER, "down"], check=True)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
