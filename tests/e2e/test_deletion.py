"""Deleting a relay, or its namespace, never hangs, whether the operator runs or not."""

from tests.support.line import Line
from tests.support.release import Operator
from tests.support.stand import Stand
from tests.support.waiting import until


async def delete_one_then_all(stand: Stand) -> None:
    """Delete one relay of two, then the namespace with the other."""
    first, second = stand.lines.values()
    await stand.kubectl.run("delete", "outboxrelay", first.name, "--timeout=30s")
    await until(lambda: has_nothing_left(first), "end of the relay's children", 60)
    assert await stand.kubectl.find("deployments", second.child) is not None
    await stand.kubectl.run("delete", "namespace", stand.name, "--timeout=80s")


async def has_nothing_left(line: Line) -> bool:
    """Whether neither the children nor the pods of a relay are left."""
    kinds = "deployments,configmaps,serviceaccounts,replicasets,pods"
    return not await line.kubectl.list(kinds, f"outboxrelay.dev/relay={line.name}")


async def two_relays(stand: Stand) -> None:
    for name in ("orders", "bills"):
        await (await stand.line(name)).start()


async def test_a_relay_and_a_namespace_are_gone_soon_after_they_are_deleted(stand: Stand) -> None:
    await two_relays(stand)
    await delete_one_then_all(stand)


async def test_a_relay_and_a_namespace_are_gone_soon_even_while_no_operator_runs(
    stand: Stand, operator: Operator
) -> None:
    await two_relays(stand)
    replicas = (await operator.deployment())["spec"]["replicas"]
    await operator.scale(0)
    try:
        await delete_one_then_all(stand)
    finally:
        await operator.scale(replicas)


async def test_a_relay_that_was_deleted_and_made_again_starts_anew(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=20) as oracle:
        await line.start()
        await stand.kubectl.run("delete", "outboxrelay", line.name)
        await oracle.writer.bulk(100)
        await line.start()
        result = await oracle.verdict()
    assert result.passed, result.report()
