"""outboxrelay deliver on the real servers: it succeeds where a relay delivers, and says so where none does."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        await found.database.execute(Path("examples/outbox.sql").read_text())
        yield found


async def deliver(line: RelayLine, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outboxrelay", "deliver", *arguments]
    environment = {**os.environ, "OUTBOXRELAY_DATABASE_URI": line.uri}
    # These are the tests' own, and not options of the command.
    for name in ("OUTBOXRELAY_CLUSTER", "OUTBOXRELAY_INSIDE"):
        environment.pop(name, None)
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


async def test_a_row_that_a_relay_takes_is_told_as_delivered(line: RelayLine) -> None:
    relay = line.start()
    await asyncio.to_thread(relay.wait_ready)
    done = await deliver(line, "--table", "outbox", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["table"] == "public.outbox"
    report = await asyncio.to_thread(relay.wait, lambda found: found["delivery"]["rowsTotal"] == 1, 10)
    assert report["delivery"]["rowsTotal"] == 1
    assert await line.pending() == 0


async def test_a_row_that_nobody_takes_is_told_with_what_to_look_at(line: RelayLine) -> None:
    done = await deliver(line, "--table", "outbox", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr == (
        "outboxrelay: row 1 of public.outbox was not delivered within 1 s and is left there; "
        "see `kubectl get outboxrelays -A` for its relay\n"
    )


async def test_a_table_that_does_not_fit_is_named(line: RelayLine) -> None:
    done = await deliver(line, "--table", "shop.missing")
    assert done.returncode == 1
    assert 'shop.missing: relation "shop.missing" does not exist; it must have the columns' in done.stderr
    assert len(done.stderr.splitlines()) == 1
