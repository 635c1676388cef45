"""How PostgreSQL goes about a read that leaves rows out."""

from pathlib import Path

import pytest

from outboxrelay.adapters.postgres_statements import Statements
from outboxrelay.adapters.postgres_table import reading_of
from outboxrelay.adapters.postgres_verify import verify
from outboxrelay.api.manifest import parse_manifest
from tests.support.oracle import Writer
from tests.support.relay_line import relay_line

pytestmark = pytest.mark.needs_services

ROWS = 5000


@pytest.mark.parametrize("light", [True, False])
async def test_a_read_that_leaves_rows_out_follows_the_index_and_sorts_nothing(tmp_path: Path, light: bool) -> None:
    async with relay_line(tmp_path, partitions=1) as line, Writer(line.uri, keys=10) as writer:
        await writer.create_table()
        await writer.bulk(ROWS)
        await line.database.execute("VACUUM ANALYZE outbox")
        target = {"topic": None, "topicTemplate": "{event_type}", "allowedTopics": ["*"]}
        reading = reading_of(parse_manifest(line.manifest(target=target)).spec)
        shape, _ = await verify(line.database, reading)
        statement = Statements(reading, shape, 16).read(
            light=light, by_shard=False, in_flight=True, held_keys=True, held_rows=True, blocked=True
        )
        arguments = (-(2**63), ROWS // 2, [100], [1], ["k"], [101], ["topic"])
        plan = "\n".join(row[0] for row in await line.database.fetch("EXPLAIN " + statement, *arguments))
        assert "Index Scan" in plan, plan
        assert "Sort" not in plan, plan
