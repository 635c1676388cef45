"""Relays need the operator only for changes: without it they deliver, and when it is back it disturbs nothing."""

from tests.support.line import identities
from tests.support.oracle import Oracle
from tests.support.release import Operator
from tests.support.stand import Stand
from tests.support.waiting import until

ROWS = 200


async def test_delivery_goes_on_without_an_operator_and_it_adopts_what_it_finds(
    stand: Stand, operator: Operator
) -> None:
    line = await stand.line()
    replicas = (await operator.deployment())["spec"]["replicas"]
    async with line.oracle(keys=50) as oracle:
        await line.start(scaling={"replicas": 2})
        pods, deployment = identities(await line.wait_pods(2)), await line.deployment()
        async with oracle.writer.writing(per_second=200):
            await operator.scale(0)
            try:
                # More than was committed by now, so that some of it was written while no operator runs.
                goal = len(oracle.writer.committed) + ROWS
                await until(lambda: has_arrived(oracle, goal), "delivery without an operator", 60)
                observed = await observed_at(stand)
            finally:
                await operator.scale(replicas)
            await until(lambda: is_observed_after(stand, observed), "status written by the operator that is back", 60)
        result = await oracle.verdict()
        await line.wait_ready()
    assert result.passed, result.report()
    assert identities(await line.wait_pods(2)) == pods
    assert set(pods.values()) == {0}
    now = await line.deployment()
    assert now["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert now["metadata"]["uid"] == deployment["metadata"]["uid"]


async def has_arrived(oracle: Oracle, events: int) -> bool:
    return len(oracle.consumer.ids) >= events


async def observed_at(stand: Stand) -> str:
    status = (await stand.kubectl.get("outboxrelays", "orders")).get("status", {})
    return str(status.get("backlog", {}).get("observedAt", ""))


async def is_observed_after(stand: Stand, before: str) -> bool:
    return await observed_at(stand) > before


async def test_the_other_replica_takes_over_when_the_leader_dies(stand: Stand, operator: Operator) -> None:
    line = await stand.line()
    await line.start()
    before = (await operator.deployment())["spec"]["replicas"]
    await operator.scale(2)
    try:
        leader = await until(operator.leader, "leader", 30)
        pods = {pod["metadata"]["name"] for pod in await operator.pods()}
        (victim,) = [name for name in pods if name in leader]
        await operator.kubectl.run("delete", "pod", victim, "--force", "--grace-period=0")

        async def successor() -> str:
            holder = await operator.leader()
            return holder if holder and victim not in holder else ""

        await until(successor, "another leader", 40)
        await stand.kubectl.run("delete", "deployment", line.child, "--wait=false")
        await until(lambda: stand.kubectl.find("deployments", line.child), "the Deployment that was deleted", 30)
        await line.wait_ready()
    finally:
        await operator.scale(before)
