"""make migration: Debezium carries an outbox table, and a relay takes over as the how-to says, under a running writer.

Exit code 0 where nothing was lost, each key kept its order, and both sent the same. Needs Maven once, for Debezium.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import debezium_build, servers
from tests.cluster.failures import ClusterError
from tests.cluster.inside import run_inside
from tests.migration import report
from tests.migration.run import run

KEPT = Path(".bench/migration")
"""Logs of a run that failed."""


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    found = argparse.ArgumentParser(prog="python3 -m tests.migration", description=__doc__)
    found.add_argument("--write-docs", action="store_true", help="write the figures into the how-to, too")
    options = found.parse_args()
    if os.environ.get("OUTBOXRELAY_INSIDE"):
        sys.exit(asyncio.run(inside(write_docs=options.write_docs)))
    try:
        debezium_build.build()
    except ClusterError as error:
        sys.exit(str(error))
    sys.exit(run_inside(["-m", "tests.migration", *sys.argv[1:]]))


async def inside(*, write_docs: bool) -> int:
    """The exit code of a run, which is told on the screen."""
    folder = Path(tempfile.mkdtemp(prefix="outboxrelay-migration-"))
    try:
        versions = await servers.versions()
        found = await run(folder)
        if problems := found.problems():
            print("\n".join(problems))
            keep(folder)
            return 1
        print(report.text(found, versions))
        if write_docs:
            report.write_docs(found, versions)
        return 0
    except BaseException:
        keep(folder)
        raise
    finally:
        shutil.rmtree(folder)


def keep(folder: Path) -> None:
    """What the processes logged, for who looks into it."""
    shutil.copytree(folder, KEPT, dirs_exist_ok=True, ignore=shutil.ignore_patterns("credentials"))
    print(f"logs: {KEPT}", flush=True)


if __name__ == "__main__":
    main()
