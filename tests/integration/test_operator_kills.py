"""The leader is killed at random moments while specs change; the cluster ends as declared, and nobody else notices.

`make chaos-operator RUNS=30` is the long run; KILLS and SEED say how many and which here.
"""

import asyncio
import os
import random
import uuid
from pathlib import Path

import pytest

from outboxrelay.adapters.kube import open_client
from tests.support.operator_kills import Pair, drop_namespace, make_namespace

pytestmark = pytest.mark.needs_cluster

KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1, 100_000)
PAIRS = min(KILLS, 6)
"""Side by side, each with a Lease and relays of its own: most of a round is waiting."""


async def test_killed_leaders_leave_the_cluster_as_declared(outboxrelays: None, tmp_path: Path) -> None:
    name = f"kills-{uuid.uuid4().hex[:6]}"
    async with open_client(context=os.environ.get("OUTBOXRELAY_CONTEXT")) as client:
        pairs = []
        for number in range(PAIRS):
            namespace, folder = f"{name}-{number}", tmp_path / str(number)
            folder.mkdir()
            await make_namespace(client, namespace)
            pairs.append(Pair(client, namespace, folder, SEED + number))
        print(f"seed {SEED}: {PAIRS} pairs of operators, {KILLS} kills (again: SEED={SEED} KILLS={KILLS})")
        try:
            async with asyncio.TaskGroup() as group:
                for number, pair in enumerate(pairs):
                    group.create_task(pair.run(KILLS // PAIRS + (number < KILLS % PAIRS)))
        except* AssertionError:
            for pair in pairs:
                print(pair.logs())
            raise
        finally:
            for number in range(PAIRS):
                await drop_namespace(client, f"{name}-{number}")
    found = [pair.figures for pair in pairs]
    seconds = sorted(second for each in found for second in each.seconds)
    kills, changes, takeovers = (
        sum(getattr(item, field) for item in found) for field in ("kills", "changes", "takeovers")
    )
    print(
        f"{kills} kills during {changes} changes, {takeovers} times the standby took over; as declared after"
        f" {seconds[len(seconds) // 2]:.1f} s (median), {seconds[-1]:.1f} s at most"
    )
    assert kills == KILLS
