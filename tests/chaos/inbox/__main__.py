"""make chaos-inbox: the whole pipe, from outbox_publish to a consumer with an inbox, while its processes are killed.

Exit code 0 where every committed event was processed exactly once and in the order of its key, in every run. A run that
fails prints the command that repeats it, and keeps its logs under .chaos/.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.cluster.inside import run_inside

from . import report
from .plan import plan_of
from .run import Result, run

KEPT = Path(".chaos")


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    options = parser().parse_args()
    if os.environ.get("OUTBOXRELAY_INSIDE"):
        sys.exit(asyncio.run(inside(options)))
    sys.exit(run_inside(["-m", "tests.chaos.inbox", *sys.argv[1:]]))


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(prog="python3 -m tests.chaos.inbox", description=__doc__)
    found.add_argument("--runs", type=int, default=10, help="how many (default 10)")
    found.add_argument("--jobs", type=int, default=2, help="how many side by side (2)")
    found.add_argument("--seed", type=int, help="of the first run; the next has the next number (default: drawn)")
    found.add_argument("--write-docs", action="store_true", help=f"write the table of {report.PAGE} too")
    return found


async def inside(options: argparse.Namespace) -> int:
    """All runs; the exit code."""
    first = random.randrange(1, 10**6) if options.seed is None else options.seed
    print(f"{options.runs} runs from seed {first}", flush=True)
    seats = asyncio.Semaphore(options.jobs)

    async def one(seed: int) -> Result:
        async with seats:
            return await told(seed)

    results = await asyncio.gather(*(one(seed) for seed in range(first, first + options.runs)))
    print("\n" + report.table(results))
    if options.write_docs:
        report.write_docs(results)
    return 0 if all(result.passed for result in results) else 1


async def told(seed: int) -> Result:
    """One run, and what it showed on the screen."""
    folder = Path(tempfile.mkdtemp(prefix=f"inbox-{seed}-"))
    try:
        result = await run(plan_of(seed), folder)
        print(result, flush=True)
        if not result.passed:
            kept = KEPT / f"inbox-{seed}"
            shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("credentials"))
            for problem in result.problems:
                print(f"  {problem}")
            print(f"  again: make chaos-inbox RUNS=1 SEED={seed}   logs: {kept}", flush=True)
        return result
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
