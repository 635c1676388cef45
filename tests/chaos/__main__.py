"""make chaos-relay: randomised runs on the real servers, each judged by the oracle; a table at the end.

Exit code 0 where every run lost nothing, kept the order of every key, and ended with nothing pending. A run that fails
prints the command that repeats it, and keeps the relays' logs under .chaos/.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.cluster.inside import run_inside

from . import report
from .report import KEPT
from .work import work


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    options = parser().parse_args()
    if os.environ.get("OUTBOXRELAY_INSIDE"):
        sys.exit(inside(options))
    sys.exit(run_inside(["-m", "tests.chaos", *sys.argv[1:]]))


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(prog="python3 -m tests.chaos", description=__doc__)
    found.add_argument("--runs", type=int, default=10, help="how many (default 10, about five minutes)")
    found.add_argument("--jobs", type=int, default=1, help="how many side by side, each with servers of its own (1)")
    found.add_argument("--seed", type=int, help="of the first run; the next has the next number (default: drawn)")
    found.add_argument("--add", action="store_true", help="tell of earlier runs too, those in .chaos/runs.jsonl")
    found.add_argument("--write-docs", action="store_true", help=f"write the table of {report.PAGE} too")
    return found


def inside(options: argparse.Namespace) -> int:
    """All runs; the exit code."""
    first = random.randrange(1, 10**6) if options.seed is None else options.seed
    print(f"{options.runs} runs from seed {first}", flush=True)
    if not options.add:
        (KEPT / report.RUNS).unlink(missing_ok=True)
    shares = [range(first + job, first + options.runs, options.jobs) for job in range(options.jobs)]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        failed = sum(pool.map(work, range(options.jobs), shares))
    figures = report.summary(report.kept())
    print("\n" + report.table(figures))
    KEPT.mkdir(exist_ok=True)
    (KEPT / "latest.json").write_text(json.dumps(figures, indent=2) + "\n")
    if options.write_docs:
        report.write_docs(figures)
    return 1 if failed else 0


if __name__ == "__main__":
    main()
