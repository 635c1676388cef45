"""What a new user does: the shortest manifest, a look at it, scaling it, pausing it."""

from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.stand import Stand
from tests.support.waiting import until

COLUMNS = (
    *("NAME", "READY", "REASON", "REPLICAS", "BACKLOG", "LAG", "INCIDENTS", "QUARANTINED", "TABLE", "TOPIC", "SCALING"),
    *("MESSAGE", "AGE"),
)


async def test_the_shortest_manifest_becomes_ready_delivers_and_fills_every_column(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=20) as oracle:
        await line.start()
        await oracle.writer.bulk(1_000)
        await oracle.writer.write(200)
        result = await oracle.verdict()
    assert result.passed, result.report()
    row = await until(lambda: filled(line), "row of kubectl get without an empty column", 30)
    assert tuple(row) == COLUMNS
    assert (row["READY"], row["REPLICAS"], row["TABLE"], row["TOPIC"]) == ("True", "1/1/8", "outbox", line.topic)
    assert line.name in await stand.kubectl.run("get", "obr")
    assert line.name in await stand.kubectl.run("get", "outbox")
    await line.wait_event("Idle")


async def filled(line: Line) -> dict[str, str]:
    """The columns of kubectl get, once none is empty."""
    row = columns(await line.row("-o", "wide"))
    return row if not {"<none>", "<unknown>", ""} & set(row.values()) else {}


def columns(text: str) -> dict[str, str]:
    """Column by column, cut where the headings begin."""
    head, line = text.splitlines()[:2]
    starts = {name: head.index(name) for name in head.split()}
    ends = [*list(starts.values())[1:], len(line) + 1]
    return {name: line[start:end].strip() for (name, start), end in zip(starts.items(), ends, strict=True)}


async def test_kubectl_explain_describes_a_field(stand: Stand) -> None:
    assert "Most rows of one read" in await stand.kubectl.run("explain", "outboxrelays.spec.source.read.batchSize")


async def test_kubectl_scale_and_state_decide_how_many_pods_run_and_whether_they_read(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=20) as oracle:
        await line.start()
        await stand.kubectl.run("scale", "outboxrelay", line.name, "--replicas=3")
        await line.wait_pods(3)
        await line.wait_condition("Available", "True", "MinimumReplicasReady")
        await oracle.writer.bulk(500)
        assert await oracle.delivered(1.0)

        await set_state(line, "Paused")
        await line.wait_condition("Ready", "False", "Paused")
        await line.wait_pods(3)
        before = len(oracle.consumer.arrived)
        await oracle.writer.bulk(100)
        assert await backlog_of(line, 100)
        assert len(oracle.consumer.arrived) == before

        await set_state(line, "Stopped")
        await line.wait_condition("Ready", "False", "Stopped")
        await line.wait_pods(0)
        assert await stand.value(f"SELECT count(*) FROM {line.table.qualified}") == 100

        await set_state(line, "Running")
        await line.wait_ready()
        result = await oracle.verdict()
    assert result.passed, result.report()
    spec = (await stand.kubectl.get("outboxrelays", line.name))["spec"]
    assert spec["scaling"]["replicas"] == 3


async def set_state(line: Line, state: str) -> None:
    await line.kubectl.run("patch", "outboxrelay", line.name, "--type=merge", "-p", f'{{"spec":{{"state":"{state}"}}}}')


async def backlog_of(line: Line, rows: int) -> Object:
    """The backlog in status, once it says ``rows``."""

    async def probe() -> Object | None:
        status = (await line.kubectl.get("outboxrelays", line.name)).get("status", {})
        backlog: Object = status.get("backlog", {})
        return backlog if backlog.get("rows") == rows else None

    return await until(probe, f"backlog of {rows} rows", 30)
