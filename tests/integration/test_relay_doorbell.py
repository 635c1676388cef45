"""The doorbell through the real servers: woken at a commit, silent while nobody sleeps, and never needed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

SLOW_POLL = {"read": {"minPollMilliseconds": 30000, "maxPollMilliseconds": 30000}}
INSERT = "INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        await found.database.execute(Path("examples/outbox.sql").read_text())
        await found.install("doorbell")
        yield found


async def asleep(line: RelayLine) -> None:
    async with asyncio.timeout(20):
        while not await line.database.fetchval(
            "SELECT count(*) = 4 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND mode = 'ExclusiveLock' "
            "AND classid BETWEEN 1652845568 AND 1652845571 AND objid = 'outbox'::regclass"
        ):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


async def test_a_commit_wakes_a_relay_that_would_poll_only_in_half_a_minute(line: RelayLine) -> None:
    relay = line.start(source=SLOW_POLL)
    for _ in range(5):
        await asleep(line)
        await line.database.execute(INSERT)
        await line.emptied(seconds=5)
    report = relay.wait(lambda found: found["delivery"]["rowsTotal"] == 5, 10)
    assert not any("doorbell" in limitation for limitation in report["limitations"])


async def test_a_row_that_commits_while_the_relay_falls_asleep_is_not_overlooked(line: RelayLine) -> None:
    line.start(source=SLOW_POLL)
    await asleep(line)
    for _ in range(100):
        await line.database.execute(INSERT)
        await asyncio.sleep(0.003)
    await line.emptied(seconds=10)


async def test_without_the_doorbell_the_table_is_polled_and_it_is_said(line: RelayLine) -> None:
    await line.database.execute("DROP TRIGGER outboxrelay_ring ON outbox")
    relay = line.start()
    await asyncio.to_thread(relay.wait_ready)
    await line.database.execute(INSERT)
    await line.emptied(seconds=10)
    assert any("no doorbell hangs at public.outbox" in text for text in (relay.state() or {})["limitations"])
