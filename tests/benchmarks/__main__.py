"""make bench: brings the cluster up, measures inside it, prints a table and writes .bench/latest.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import (
    controller_memory,
    debezium,
    debezium_build,
    fleet,
    held_snapshot,
    idle,
    large_rows,
    latency,
    missing_topic,
    outage,
    poison,
    report,
    scaling,
    servers,
    skip_locked,
    throughput,
    writers,
)
from tests.cluster.failures import ClusterError
from tests.cluster.inside import run_inside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LATEST = Path(".bench/latest.json")


class Measurement(NamedTuple):
    """One of what is measured."""

    minutes: str
    """About, with the default options."""
    run: Callable[[Path, argparse.Namespace], Awaitable[dict[str, float]]]


MEASUREMENTS = {
    "throughput": Measurement("1", lambda folder, of: throughput.measure(folder, of.rows, of.pairs)),
    "debezium": Measurement("3", lambda folder, of: debezium.measure(folder, of.rows, of.pairs)),
    "skip-locked": Measurement("2", lambda folder, of: skip_locked.measure(folder, of.rows, of.pairs)),
    "latency-100": Measurement("½", lambda folder, of: latency.measure(folder, 100, of.seconds)),
    "latency-1000": Measurement("½", lambda folder, of: latency.measure(folder, 1000, of.seconds)),
    "doorbell-100": Measurement("½", lambda folder, of: latency.measure(folder, 100, of.seconds, doorbell=True)),
    "doorbell-1000": Measurement("½", lambda folder, of: latency.measure(folder, 1000, of.seconds, doorbell=True)),
    "writers": Measurement("4", lambda folder, of: writers.measure(folder, of.seconds / 2, of.pairs)),
    "held-snapshot": Measurement("5", lambda folder, of: held_snapshot.measure(folder, of.seconds, of.pairs)),
    "scaling": Measurement("2", lambda folder, of: scaling.measure(folder, of.seconds / 2, of.largest)),
    "large-rows": Measurement("½", lambda folder, _: large_rows.measure(folder)),
    "poison": Measurement("4", lambda folder, of: poison.measure(folder, of.pairs)),
    "missing-topic": Measurement("3", lambda folder, of: missing_topic.measure(folder, of.rows, of.pairs, of.seconds)),
    "broker-outage": Measurement("2½", lambda folder, _: outage.measure(folder, "stop", "start", "outage")),
    "broker-frozen": Measurement("2½", lambda folder, _: outage.measure(folder, "freeze", "thaw", "outage_frozen")),
    "idle": Measurement("½", lambda folder, of: idle.measure(folder, of.seconds)),
    "controller": Measurement("½", lambda folder, _: controller_memory.measure(folder)),
    "fleet": Measurement("10", lambda folder, of: fleet.measure(folder, of.relays, of.steady)),
}
NEEDS_KUBERNETES = {"controller", "fleet"}
ONLY_BY_NAME = {"fleet"}
"""Not part of a run of everything."""


FAILURES = (SystemExit, OSError, subprocess.SubprocessError)
"""What may end one measurement; the others go on."""


async def measure(options: argparse.Namespace) -> tuple[dict[str, float], list[str]]:
    """Every figure of this run, and the names of the measurements that failed."""
    figures: dict[str, float] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="outboxrelay-bench-") as folder:
        for name in options.only:
            print(f"{name} ...", flush=True)
            began = time.monotonic()
            try:
                figures |= await MEASUREMENTS[name].run(Path(folder), options)
            except FAILURES as failure:
                failed.append(name)
                print(f"  failed: {failure}")
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return figures, failed


def inside(options: argparse.Namespace) -> None:
    """Measure, print, write; a run of some measurements keeps the other figures of the file."""
    figures, failed = asyncio.run(measure(options))
    print("\n" + report.table(figures))
    LATEST.parent.mkdir(exist_ok=True)
    if LATEST.exists() and set(options.only) != set(MEASUREMENTS):
        figures = json.loads(LATEST.read_text()) | figures
    LATEST.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nwritten to {LATEST}")
    if options.write_docs:
        versions = asyncio.run(servers.versions())
        report.write_docs(figures, {**versions, "Debezium": debezium_build.VERSION})
        print(f"written to {report.PAGE}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def parser() -> argparse.ArgumentParser:
    """The options, and what there is to measure."""
    listed = "".join(f"  {name:<15} about {one.minutes} min\n" for name, one in MEASUREMENTS.items())
    head = f"measurements, all by default but {', '.join(ONLY_BY_NAME)}:"
    found = argparse.ArgumentParser(
        prog="python3 -m tests.benchmarks",
        description=__doc__,
        epilog=f"{head}\n{listed}\nexample: --only throughput --only debezium",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--rows", type=int, default=300_000, help="rows of one drain (default 300000)")
    found.add_argument("--pairs", type=int, default=3, help="turns of everything that is compared (default 3)")
    found.add_argument("--seconds", type=float, default=20, help="length of each steady measurement (default 20)")
    found.add_argument("--largest", type=int, default=5_000_000, help="largest backlog of scaling (default 5000000)")
    sizes = [50, 200, 500]
    found.add_argument("--relays", type=int, nargs="+", default=sizes, help="sizes of the fleet (default 50 200 500)")
    found.add_argument("--steady", type=float, default=60, help="seconds of each fleet that are measured (default 60)")
    found.add_argument("--only", action="append", choices=MEASUREMENTS, metavar="NAME", help="one of those below")
    found.add_argument("--write-docs", action="store_true", help="write the table of docs/performance.md too")
    return found


def main() -> None:
    """Bring up what is needed, measure inside, and leave nothing behind that was not there before."""
    options = parser().parse_args()
    everything = [name for name in MEASUREMENTS if name not in ONLY_BY_NAME]
    options.only = list(dict.fromkeys(options.only or everything))
    if os.environ.get("OUTBOXRELAY_INSIDE"):
        inside(options)
        return
    if "debezium" in options.only:
        try:
            debezium_build.build()
        except ClusterError as error:
            sys.exit(str(error))
    kubernetes = bool(NEEDS_KUBERNETES.intersection(options.only))
    sys.exit(run_inside(["-m", "tests.benchmarks", *sys.argv[1:]], kubernetes=kubernetes))


if __name__ == "__main__":
    main()
