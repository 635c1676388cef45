"""A password that is rotated: the pods are replaced, delivery goes on."""

from tests.support.line import Line
from tests.support.stand import Stand
from tests.support.waiting import until


async def test_a_changed_password_rolls_the_pods_and_loses_nothing(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=50) as oracle:
        await line.start()
        (old,) = await line.wait_pods(1)
        async with oracle.writer.writing(per_second=200):
            await stand.change_password(line)
            await until(lambda: is_replaced(line, old["metadata"]["uid"]), "pod with the new password", 90)
            await stand.end_sessions(line)
            await line.wait_ready()
        result = await oracle.verdict()
    assert result.passed, result.report()
    await line.wait_event("RollingOut")


async def is_replaced(line: Line, uid: str) -> bool:
    pods = await line.pods()
    return bool(pods) and all(pod["metadata"]["uid"] != uid for pod in pods)
