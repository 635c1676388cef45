"""Some runs, one after the other, on servers of their own; a module of its own so that other processes can do it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import report
from .broker import Broker
from .plan import plan_of
from .postgres_pair import Pair
from .report import KEPT
from .run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .run import Result


def work(job: int, seeds: Sequence[int]) -> int:
    """The runs of ``seeds``, one after the other, on servers of their own; how many failed. Each is kept at once."""
    with (
        tempfile.TemporaryDirectory(prefix="outboxrelay-chaos-") as name,
        Pair(_open_to_all(Path(name)), job) as pair,
        Broker(Path(name), job) as broker,
    ):
        return sum(not _one(seed, pair, broker, Path(name)).passed for seed in seeds)


def _one(seed: int, pair: Pair, broker: Broker, folder: Path) -> Result:
    logs = folder / f"run-{seed}"
    logs.mkdir()
    result = asyncio.run(run(plan_of(seed), pair, broker, logs))
    report.keep(report.record_of(result))
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
