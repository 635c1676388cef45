"""Twenty poison rows of five causes among 10,000: the rest arrives once and in order, and mending brings them too."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import poison_rows
from tests.support.appends import appends
from tests.support.oracle import Committed, Writer, verdict
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

ROWS, KEYS = 10_000, 500


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, settings={"max.message.bytes": poison_rows.TOPIC_BYTES}) as found:
        yield found


async def filled(line: RelayLine, per_key: int) -> tuple[list[Committed], list[Committed]]:
    """All rows, and those of them that are poison."""
    async with Writer(line.uri, keys=KEYS) as writer:
        await writer.create_table()
        for statement in poison_rows.COLUMNS:
            await line.database.execute(statement)
        rows = await writer.bulk(ROWS)
    await line.install()
    poison = poison_rows.chosen(rows, KEYS, per_key=per_key)
    await poison_rows.spoil(line.database, poison)
    return rows, poison


@pytest.mark.parametrize("per_key", [1, 2])
async def test_held_rows_that_are_mended_in_the_table_bring_everything_behind_them_once_and_in_order(
    line: RelayLine, per_key: int
) -> None:
    rows, poison = await filled(line, per_key)
    waiting = poison_rows.behind(rows, poison)
    # Tried again every few seconds, for that the test need not wait a minute; until then its key is held all the same.
    relay = line.start(**poison_rows.spec(line.topic, action="Quarantine", maxAttempts=1000))
    await line.emptied(rows=len(waiting))
    await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 20 // per_key, 20)
    result = verdict(rows, await asyncio.to_thread(appends, line.servers, [line.topic]), waiting)
    assert result.passed, result.report()
    assert (result.arrived, result.duplicates, result.waiting) == (ROWS - len(waiting), 0, len(waiting))
    await poison_rows.mend_rows(line.database)
    await line.emptied(seconds=180)
    result = verdict(rows, await asyncio.to_thread(appends, line.servers, [line.topic]))
    assert result.passed, result.report()
    assert (result.arrived, result.duplicates) == (ROWS, 0)
    await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 0, 20)


@pytest.mark.parametrize("per_key", [1, 2])
async def test_quarantined_rows_are_replayed_once_behind_their_keys_and_in_the_order_of_their_ids(
    line: RelayLine, per_key: int
) -> None:
    rows, poison = await filled(line, per_key)
    ids = {event.event_id for event in poison}
    relay = line.start(**poison_rows.spec(line.topic, action="Quarantine", maxAttempts=2))
    await line.emptied()
    result = verdict(
        [event for event in rows if event.event_id not in ids],
        await asyncio.to_thread(appends, line.servers, [line.topic]),
    )
    assert result.passed, result.report()
    assert (result.arrived, result.duplicates) == (ROWS - 20, 0)
    await asyncio.to_thread(relay.stop)
    await poison_rows.mend_topics(line.servers, line.topic)
    line.start(**poison_rows.spec(line.topic, mended=True, action="Quarantine"))
    replayed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "outboxrelay", "quarantine", "replay", "--all"],
        env={**os.environ, "OUTBOXRELAY_DATABASE_URI": line.uri},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert replayed.stdout.startswith("replay 20 rows")
    await line.emptied()
    found = await asyncio.to_thread(appends, line.servers, [line.topic, line.topic + poison_rows.SECRET])
    assert not list(poison_rows.replay_problems(found, poison))
    assert len(found) == ROWS
