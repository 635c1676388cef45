"""What became of poison rows: moved aside whole, and brought back when their cause is mended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.records import Records, headers_of

if TYPE_CHECKING:
    from .stage import Stage

ARRIVAL_SECONDS = 60.0
QUARANTINED = "SELECT event_id FROM outboxrelay.quarantine WHERE state = 'Quarantined'"


async def bring_back(stage: Stage) -> list[str]:
    """What is wrong with the rows of ``stage.poison``: held, quarantined, or in the dead letter topic."""
    if not stage.poison or stage.plan.setting.poison == "HoldKey":
        return []
    if stage.plan.setting.poison == "Quarantine":
        return await _replay(stage)
    with Records(stage.servers, stage.dead_topic) as dead:
        await asyncio.to_thread(dead.wait_until, lambda: stage.poison <= _ids(dead), ARRIVAL_SECONDS)
        missing, unknown = stage.poison - _ids(dead), _ids(dead) - stage.poison
    problems = [f"{len(missing)} poison rows are neither in the table nor in the dead letter topic"] if missing else []
    return problems + ([f"{len(unknown)} sound rows were sent to the dead letter topic"] if unknown else [])


def _ids(dead: Records) -> set[str]:
    return {headers_of(record).get("id", "no id") for record in list(dead.records)}


async def _replay(stage: Stage) -> list[str]:
    session = await stage.connect()
    try:
        aside = {str(row["event_id"]) for row in await session.fetch(QUARANTINED)}
    finally:
        await session.close()
    if aside != stage.poison:
        return [
            f"{len(stage.poison - aside)} poison rows are not in quarantine, {len(aside - stage.poison)} others are"
        ]
    await stage.mend()
    uri = stage.pair.uri(stage.name)
    command = [sys.executable, "-m", "outboxrelay", "quarantine", "replay", "--all", "--force"]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, "OUTBOXRELAY_DATABASE_URI": uri},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return [f"quarantine replay: {done.stderr.strip()}"]
    if not await asyncio.to_thread(stage.oracle.consumer.wait_for, stage.poison, ARRIVAL_SECONDS):
        return [f"{len(stage.poison - stage.oracle.consumer.ids)} replayed rows did not arrive"]
    return []
