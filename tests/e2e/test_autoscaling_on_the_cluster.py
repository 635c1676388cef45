"""The autoscaler on a real cluster: pods come and go in steps with a backlog, stay while the broker is away, and are
taken back where a database gives no more to more of them.

Rows are slow because the database is far away: a link takes its time each way, and a relay with small batches waits for
it most of the time. So more pods do help, although all of them share two cores.
"""

import asyncio
import time
from itertools import pairwise

from tests.cluster import kafka
from tests.e2e.scaling_stage import between, stage
from tests.support.rig import Rig
from tests.support.stand import Stand

ROWS = 500_000
FAR_AWAY = 0.025
"""Seconds each way, as to a database in another region."""
SMALL_BATCHES = {"read": {"batchSize": 250}}
MOST = 5
CALM_SECONDS = 10.0
OUTAGE_SECONDS = 45.0
"""Nine decisions."""
BLOCKED_SECONDS = 45.0
RAMP_SECONDS = 20
SLACK_SECONDS = 3.0
"""A step is seen a little later than it was decided on, and not always by the same time."""


async def test_half_a_million_slow_rows_bring_pods_in_steps_which_go_in_steps_without_flapping(
    stand: Stand, local: Rig
) -> None:
    async with stage(stand, delay=FAR_AWAY) as at:
        await at.oracle.writer.bulk(ROWS)
        scaling = {"maxReplicas": MOST, "scaleDownStabilizationSeconds": 30}
        await at.line.start(source=SMALL_BATCHES, scaling=scaling)
        assert await at.oracle.delivered(1.0, 400), at.diary.table()
        print(f"\n{ROWS:,} rows had arrived {time.monotonic() - at.diary.began:.0f} s after the beginning")
        await at.wait_back(60 * MOST + 60)
        await asyncio.sleep(CALM_SECONDS)
        # Judging half a million events takes this process, and the link with it, for seconds: look before.
        pods, why, steps = at.diary.pods, at.diary.why, await at.steps()
        result = await at.oracle.verdict()
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0
    there, back = pods[: pods.index(MOST) + 1], pods[pods.index(MOST) :]
    assert there == sorted(set(there)), pods
    assert back == sorted(set(back), reverse=True), pods
    assert back[-1] == 1
    assert all(after <= max(2 * before, before + 2) for before, after in pairwise(there)), pods
    assert all(before - after <= max(1, before // 4) for before, after in pairwise(back)), pods
    for (sooner, before), (later, after) in pairwise(at.diary.asked[1:]):
        assert later - sooner >= (15 if after > before else 60) - SLACK_SECONDS
    assert [between(step["message"]) for step in steps] == list(pairwise(pods))
    told = ["ScaledUp"] * (len(there) - 1) + ["ScaledDown"] * (len(back) - 1)
    assert [step["reason"] for step in steps] == told
    assert why == "True Active"


async def test_while_the_broker_is_stopped_a_backlog_changes_nothing_and_afterwards_the_steps_go_on(
    stand: Stand, local: Rig
) -> None:
    async with stage(stand, delay=FAR_AWAY) as at:
        await at.make_late()
        await at.oracle.writer.bulk(200_000)
        await at.line.start(
            source=SMALL_BATCHES, scaling={"maxReplicas": MOST}, flow={"recoveryRampSeconds": RAMP_SECONDS}
        )
        await at.wait_pods([1, 3], 60)
        await at.wait_all_ready()
        # The next step is due, and not before 15 s have passed since the last one.
        await asyncio.to_thread(kafka.stop)
        stopped = time.monotonic()
        try:
            await at.wait_why("False TargetDown", 20)
            # Rows that nobody can deliver would be a reason for more pods, and no delivery one for fewer.
            await at.oracle.writer.bulk(100_000)
            await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - stopped)))
            assert (at.diary.pods, at.diary.why) == ([1, 3], "False TargetDown"), at.diary.table()
            assert "SHUT  Kafka cannot be used" in await at.explained()
        finally:
            await asyncio.to_thread(kafka.start, 120)
        started = time.monotonic()
        print(f"\nthe broker was away from {stopped - at.diary.began:.0f} to {started - at.diary.began:.0f} s")
        await at.wait_why("False RecoveryRamp", 30)
        await at.wait_more(3, RAMP_SECONDS + 120)
        went_on, _ = at.diary.asked[2]
        assert await at.oracle.delivered(1.0, 240), at.diary.table()
        result = await at.oracle.verdict()
    print(result)
    assert result.passed, result.report()
    assert at.diary.pods == sorted(at.diary.pods)
    assert went_on - started >= RAMP_SECONDS - SLACK_SECONDS


async def test_where_a_link_to_the_database_bounds_all_pods_one_step_up_is_tried_reverted_and_blocked(
    stand: Stand, local: Rig
) -> None:
    async with stage(stand, bytes_per_second=100_000) as at:
        # A step is wanted before a pod has shown what it delivers: it must wait for that all the same.
        await at.make_late()
        await at.oracle.writer.bulk(150_000)
        await at.line.start(source={"read": {"batchSize": 50}}, scaling={"maxReplicas": MOST})
        await at.wait_pods([1, 3, 1], 150)
        await at.wait_why("False Ineffective", 20)
        # More pods would still be wanted, and are not tried.
        await asyncio.sleep(BLOCKED_SECONDS)
        assert (at.diary.pods, at.diary.why) == ([1, 3, 1], "False Ineffective"), at.diary.table()
        told, scaling = await at.explained(), at.diary.status["scaling"]
        conditions = await at.line.conditions()
        steps = await at.steps()
        # Without the bound one pod delivers what is left.
        at.link.bytes_per_second = None
        assert await at.oracle.delivered(1.0, 240), at.diary.table()
        result = await at.oracle.verdict()
    print(f"{told}\n{result}")
    assert result.passed, result.report()
    assert at.diary.pods == [1, 3, 1]
    assert [(step["type"], step["reason"], between(step["message"])) for step in steps] == [
        ("Normal", "ScaledUp", (1, 3)),
        ("Warning", "ScaleReverted", (3, 1)),
    ]
    kept = "rows/s that it promised, less than effectivenessPercent 30"
    assert "3 to 1 pods: the step from 1 to 3 pods brought" in steps[1]["message"]
    assert kept in steps[1]["message"]
    block = "the step from 1 to 3 pods did not help: more are not tried yet"
    assert conditions["ScalingActive"]["message"] == f"{block} (no more pods before {scaling['blockedUntil']})"
    assert scaling["blocks"] == 1
    for part in (f"ScalingActive=False, Ineffective: {block}", "ScaleReverted", kept, f"SHUT  {block}"):
        assert part in told
