"""A row that Kafka will never take holds its own key and nothing else."""

import random

from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.oracle import Committed
from tests.support.stand import Stand
from tests.support.waiting import until

LIMIT = 100_000


async def test_a_row_above_the_size_limit_holds_its_key_and_is_named(stand: Stand) -> None:
    line = await stand.line(settings={"max.message.bytes": str(LIMIT)})
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    incompressible = random.Random(seed).randbytes(4 * LIMIT).hex()
    async with line.oracle(seed=seed, keys=100) as oracle:
        key = oracle.writer.keys[7]
        before = await oracle.writer.bulk(5_000)
        (poison,) = await oracle.writer.transaction([key], filler=incompressible)
        after = await oracle.writer.bulk(5_000)
        await line.apply()
        waiting = {event.event_id for event in after if event.key == key} | {poison.event_id}
        result = await oracle.verdict(may_wait=waiting)
        print(result)
        held = await until(lambda: held_of(line), "held key in status", 30)
        event = await line.wait_event("RowHeld")
        left = await stand.value(f"SELECT array_agg(id ORDER BY id) FROM {line.table.qualified}")
    assert result.passed, result.report()
    assert all(
        event.key != key or event in before for event in arrived_of(oracle.writer.committed, oracle.consumer.ids)
    )
    assert result.waiting == len(waiting)
    assert left == [poison.row_id, *(event.row_id for event in after if event.key == key)]
    assert held["keys"] == 1
    for text in (held["examples"][0], event["message"]):
        assert f"row {poison.row_id}" in text
        assert str(key) in text
        assert "RowTooLarge" in text
    assert incompressible[:50] not in str(held)


def arrived_of(committed: list[Committed], ids: set[str]) -> list[Committed]:
    return [event for event in committed if event.event_id in ids]


async def held_of(line: Line) -> Object | None:
    """status.held, once it holds a key."""
    status = (await line.kubectl.get("outboxrelays", line.name)).get("status", {})
    held: Object = status.get("held") or {}
    return held if held.get("keys") else None
