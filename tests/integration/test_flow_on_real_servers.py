"""How fast a relay process goes between the real servers: within its limits, and slowly at first after an outage."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest

from outboxrelay.decisions.flow import SLICE_SECONDS
from tests.support.oracle import Oracle
from tests.support.relay_line import RelayLine, judged, relay_line
from tests.support.relay_process import RelayProcess

pytestmark = pytest.mark.needs_services

INSERT = (
    "INSERT INTO outbox (aggregate_id, event_type, payload) "
    "SELECT 'k' || i % 50, 'T', jsonb_build_object('text', repeat('x', $2)) FROM generate_series(1, $1) AS i"
)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


def watch(relay: RelayProcess, total: int, field: str = "rowsTotal") -> list[tuple[float, int]]:
    """When the relay had delivered how much, until it is ``total``."""
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < total:
        asked_at = time.monotonic()
        report = relay.state()
        if report is not None:
            # Counted when it was asked at the latest: a slow answer must not look like a fast relay.
            seen.append((asked_at, report["delivery"][field]))
        time.sleep(0.05)
    return seen


def fastest(seen: list[tuple[float, int]], window: float) -> float:
    """The highest rate over at least ``window`` seconds."""
    return max((b - a) / (end - begin) for (begin, a), (end, b) in combinations(seen, 2) if end - begin >= window)


async def start(line: RelayLine, **flow: int) -> RelayProcess:
    await line.database.execute(Path("examples/outbox.sql").read_text())
    relay = line.start(flow=flow)
    await asyncio.to_thread(relay.wait_ready)
    return relay


async def test_a_limit_in_rows_holds_in_every_window_and_is_used(line: RelayLine) -> None:
    relay = await start(line, maxRowsPerSecond=500)
    begun = time.monotonic()
    await line.database.execute(INSERT, 3000, 10)
    seen = await asyncio.to_thread(watch, relay, 3000)
    # The bucket holds a slice, and a batch is counted when it is confirmed: a little later than it was sent.
    assert fastest(seen, 1.0) <= 500 * (1 + SLICE_SECONDS) * 1.25
    assert fastest(seen, 4.0) <= 500 * (1 + SLICE_SECONDS / 4) * 1.1
    assert time.monotonic() - begun >= 3000 / 500 - SLICE_SECONDS
    report = await asyncio.to_thread(relay.wait, lambda found: found["delivery"]["inFlightRows"] == 0, 10)
    assert report["delivery"]["flow"] == {
        "state": "Limited",
        "rowsPerSecond": 500.0,
        "reason": "spec.flow.maxRowsPerSecond",
    }
    await line.emptied()


async def test_a_limit_in_bytes_holds(line: RelayLine) -> None:
    relay = await start(line, maxBytesPerSecond=200_000)
    begun = time.monotonic()
    await line.database.execute(INSERT, 1000, 1000)
    await asyncio.to_thread(watch, relay, 1000)
    # The size of the first rows is not known before they are read: one batch goes into debt, and is paid for.
    assert time.monotonic() - begun >= 4
    await line.emptied()


def cluster(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.cluster", *arguments], check=True, timeout=120)


def is_ramping(report: dict[str, object]) -> bool:
    delivery = report["delivery"]
    return isinstance(delivery, dict) and delivery["flow"]["state"] == "Ramping"


async def test_a_backlog_of_an_outage_does_not_arrive_all_at_once(line: RelayLine) -> None:
    async with Oracle(line.uri, line.servers, line.topic, keys=100, seed=1) as oracle, asyncio.timeout(200):
        await oracle.writer.create_table()
        config = line.manifest(flow={"recoveryStartPercent": 2, "recoveryRampSeconds": 20})
        config["spec"]["target"]["deliveryTimeoutSeconds"] = 2
        relay = line.start(config=config)
        await asyncio.to_thread(relay.wait_ready)
        await oracle.writer.bulk(40_000)
        await line.emptied()
        await asyncio.to_thread(cluster, "kafka", "freeze")
        try:
            await oracle.writer.bulk(80_000)
            await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["circuit"] == "Open", 30)
        finally:
            await asyncio.to_thread(cluster, "kafka", "thaw")
        begun = await asyncio.to_thread(relay.wait, is_ramping, 60)
        later = await asyncio.to_thread(relay.wait, partial(_rose, begun), 30)
        assert "after an outage, towards" in begun["delivery"]["flow"]["reason"]
        result = await judged(oracle, line)
    print(begun["delivery"]["flow"], later["delivery"]["flow"])
    assert result.passed, result.report()
    await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["flow"]["state"] == "Free", 30)


def _rose(before: dict[str, dict[str, dict[str, float]]], report: dict[str, dict[str, dict[str, float]]]) -> bool:
    """Whether more is allowed than was, and less than what is free."""
    rate = report["delivery"]["flow"]["rowsPerSecond"]
    return rate is not None and rate > 1.5 * before["delivery"]["flow"]["rowsPerSecond"]
