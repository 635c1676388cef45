"""make chaos-relay: randomised runs on the real servers, each judged by the oracle; a table at the end.

Exit code 0 where every run lost nothing, kept the order of every key, and ended with nothing pending. A run that fails
prints the command that repeats it, and keeps the relays' logs under .chaos/.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import netns

from . import report
from .broker import Broker
from .plan import plan_of
from .postgres_pair import Pair
from .run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .run import Result

KEPT = Path(".chaos")
CLUSTER = [sys.executable, "-m", "tests.cluster"]


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    options = parser().parse_args()
    if os.environ.get("OUTBOXRELAY_CLUSTER"):
        sys.exit(inside(options))
    was_up = netns.exists()
    try:
        subprocess.run([*CLUSTER, "up", "--services-only"], check=True)
        done = subprocess.run([*CLUSTER, "run", "--", sys.executable, "-m", "tests.chaos", *sys.argv[1:]])
    finally:
        if not was_up:
            subprocess.run([*CLUSTER, "down"], check=True)
    sys.exit(done.returncode)


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(prog="python3 -m tests.chaos", description=__doc__)
    found.add_argument("--runs", type=int, default=10, help="how many (default 10, about five minutes)")
    found.add_argument(
        "--jobs", type=int, default=1, help="how many side by side, each with its own servers (default 1)"
    )
    found.add_argument("--seed", type=int, help="of the first run; the next has the next number (default: drawn)")
    found.add_argument("--write-docs", action="store_true", help=f"write the table of {report.PAGE} too")
    return found


def inside(options: argparse.Namespace) -> int:
    """All runs; the exit code."""
    first = random.randrange(1, 10**6) if options.seed is None else options.seed
    print(f"{options.runs} runs from seed {first}", flush=True)
    shares = [range(first + job, first + options.runs, options.jobs) for job in range(options.jobs)]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        results = [result for share in pool.map(work, range(options.jobs), shares) for result in share]
    figures = report.summary(results)
    print("\n" + report.table(figures))
    KEPT.mkdir(exist_ok=True)
    (KEPT / "latest.json").write_text(json.dumps(figures, indent=2) + "\n")
    if options.write_docs:
        report.write_docs(figures)
    return 1 if figures["failed_runs"] else 0


def work(job: int, seeds: Sequence[int]) -> list[Result]:
    """The runs of ``seeds``, one after the other, on servers of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="outboxrelay-chaos-") as name,
        Pair(_open_to_all(Path(name)), job) as pair,
        Broker(Path(name), job) as broker,
    ):
        return [_one(seed, pair, broker, Path(name)) for seed in seeds]


def _one(seed: int, pair: Pair, broker: Broker, folder: Path) -> Result:
    logs = folder / f"run-{seed}"
    logs.mkdir()
    result = asyncio.run(run(plan_of(seed), pair, broker, logs))
    print(result, flush=True)
    if not result.passed:
        kept = KEPT / f"failed-{seed}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(logs, kept, ignore=shutil.ignore_patterns("credentials"))
        problems = "\n  ".join(result.problems)
        print(f"FAILED\n  {result.plan}\n{result.verdict.report()}\n  {problems}")
        print(f"logs: {kept}\nto repeat it: make chaos-relay RUNS=1 SEED={seed}", flush=True)
    shutil.rmtree(logs)
    return result


def _open_to_all(folder: Path) -> Path:
    """PostgreSQL runs as a user of its own."""
    folder.chmod(0o755)
    return folder


if __name__ == "__main__":
    main()
