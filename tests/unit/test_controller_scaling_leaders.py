"""What a new leader goes on from when it scales a relay, on fakes."""

import pytest

from outboxrelay.manifests.kinds import DEPLOYMENT, RELAY
from tests.support.controller_bench import Bench
from tests.support.fake_kube import FakeKube
from tests.support.scaled_relay import BACKLOG, EMPTY, KEY, asked, begin, live, successor_of

pytestmark = pytest.mark.looptime


async def test_a_new_leader_goes_on_from_the_pods_that_there_are() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 100)
        assert asked(bench) == 8
    async with Bench(kube).running() as successor:
        await successor_of(kube, successor, EMPTY)
        assert asked(successor) == 8
        await live(successor, 290, each=10.0, full=0.0)
        assert asked(successor) == 8
        await live(successor, 30, each=10.0, full=0.0)
        assert asked(successor) == 6


async def test_a_new_leader_makes_a_deployment_that_is_gone_again_with_as_many_pods() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 100)
        assert asked(bench) == 8
    kube.remove(DEPLOYMENT, "shop", "orders-relay")
    async with Bench(kube).running() as successor:
        successor.relays.deliver(None, kube.objects[RELAY.kind, *KEY])
        await successor.look(KEY)
        assert asked(successor) == 8


async def test_a_new_leader_keeps_to_the_block_and_the_capacity_that_status_tells_of() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench, scaling={"minReplicas": 3})
        for _ in range(12):
            # However many pods there are, together they deliver 300 rows per second.
            await live(bench, 5, each=300.0 / asked(bench))
        status = bench.status(KEY)["scaling"]
        assert asked(bench) == 3
        assert bench.condition(KEY, "ScalingActive")["reason"] == "Ineffective"
        assert status["blockedUntil"] in bench.condition(KEY, "ScalingActive")["message"]
        assert "ScaleReverted" in bench.events()
    async with Bench(kube).running() as successor:
        successor.clock.seconds = bench.clock.seconds
        await successor_of(kube, successor, BACKLOG)
        await live(successor, 500)
        assert asked(successor) == 3
        assert successor.status(KEY)["scaling"]["blockedUntil"] == status["blockedUntil"]
        await live(successor, 120)
        assert asked(successor) > 3


async def test_a_new_leader_lets_a_sleeping_relay_sleep() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        await begin(bench, scaling={"minReplicas": 0, "idleSeconds": 30})
        await live(bench, 60, each=0.0, full=0.0)
        assert asked(bench) == 0
    async with Bench(kube).running() as successor:
        await successor_of(kube, successor, EMPTY)
        await live(successor, 30)
        assert asked(successor) == 0
