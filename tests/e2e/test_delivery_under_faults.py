"""No event is lost and each key keeps its order while relays die, hang and transactions commit late."""

import asyncio
import random

from tests.support import pod_processes
from tests.support.rig import Rig
from tests.support.stand import Stand

SLOW = {"resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "300m", "memory": "256Mi"}}}
FROZEN_SECONDS = 30


async def test_a_drain_outlives_one_pod_killed_and_one_frozen_for_half_a_minute(stand: Stand, local: Rig) -> None:
    line = await stand.line(partitions=6)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with line.oracle(seed=seed, keys=500) as oracle:
        await line.apply(scaling={"replicas": 3}, template=SLOW, source={"read": {"batchSize": 100}})
        pods = await line.wait_pods(3)
        killed, frozen, _ = (pod["metadata"]["uid"] for pod in pods)
        await oracle.writer.bulk(100_000)
        assert await oracle.delivered(0.05)
        pod_processes.kill(killed)
        pid = pod_processes.freeze(frozen)
        arrived = len(oracle.consumer.ids)
        assert arrived < 90_000, "the drain was over before the faults"
        try:
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            pod_processes.thaw(pid, frozen)
        result = await oracle.verdict(deadline=180, quiet=5)
        print(result)
        await line.wait_pods(3)
        await line.wait_ready()
    assert result.passed, result.report()


async def test_transactions_that_take_ids_early_and_commit_in_random_order_lose_nothing(stand: Stand) -> None:
    line = await stand.line()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with line.oracle(seed=seed, keys=100) as oracle:
        await line.start()
        await oracle.writer.late_commits(200, rollback_share=0.25)
        result = await oracle.verdict(quiet=2)
        print(result)
    assert result.passed, result.report()
    assert oracle.writer.rolled_back > 0
    assert result.committed > 200
