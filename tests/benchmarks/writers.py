"""What writers lose to a relay: pgbench commits small transactions, each with one outbox row, in turns.

Alone; with the doorbell's trigger on the table and no relay; with a relay that polls; with a relay and the doorbell. So
what the trigger costs can be told from what the relay takes of the machine that it shares with them: these writers
saturate it. Then the same at half that rate, as services are that leave room. How often writers rang is counted too.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.cluster import postgres
from tests.support.oracle import OutboxTable
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CLIENTS = 12
ACCOUNTS = 100_000
SETUP = (
    "CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50)",
    f"INSERT INTO account SELECT i, 0 FROM generate_series(1, {ACCOUNTS}) i",
    "VACUUM ANALYZE account",
)
SCRIPT = f"""
\\set account random(1, {ACCOUNTS})
BEGIN;
UPDATE account SET balance = balance + 1 WHERE id = :account;
INSERT INTO outbox (aggregate_id, event_type, payload)
    VALUES ('a-' || :account ::integer, 'BalanceChanged',
            jsonb_build_object('account', :account ::integer, 'note', repeat('x', 200)));
COMMIT;
"""
TURNS = ("alone", "trigger", "polling", "relay")
HALF = 0.5


class Run(NamedTuple):
    """Transactions per second, the mean milliseconds of one, and what was counted meanwhile."""

    per_second: float
    milliseconds: float
    late: float
    """Mean milliseconds by which a transaction began late, because all clients still were in earlier ones."""
    relay_percent: float = 0.0
    """The relay's share of one core."""
    rings: float = 0.0
    """Notifications a second."""

    def __str__(self) -> str:
        late = f", {self.late:.2f} ms late" if self.late else ""
        relay = f", relay {self.relay_percent:.0f} % of a core, {self.rings:.1f} rings/s" if self.relay_percent else ""
        return f"{self.per_second:,.0f}/s ({self.milliseconds:.2f} ms{late}{relay})"


async def measure(folder: Path, seconds: float, pairs: int) -> dict[str, float]:
    """Percent of the throughput of saturating writers, and percent added to a transaction at half their rate."""
    full: dict[str, list[Run]] = {turn: [] for turn in TURNS}
    half: dict[str, list[Run]] = {turn: [] for turn in TURNS}
    for number in range(pairs):
        for turn in _rotated(TURNS, number):
            full[turn].append(await run(folder, turn, seconds, None, f"{turn}-{number}"))
        print(f"  turn {number + 1}: {_told(full)}", flush=True)
        rate = HALF * statistics.median(one.per_second for one in full["alone"])
        for turn in _rotated(TURNS, number):
            half[turn].append(await run(folder, turn, seconds, rate, f"{turn}-{number}-half"))
        print(f"  turn {number + 1} at half the rate: {_told(half)}", flush=True)
    rates = {turn: statistics.median(run.per_second for run in runs) for turn, runs in full.items()}
    times = {turn: statistics.median(run.milliseconds for run in runs) for turn, runs in half.items()}
    lost = {turn: round(100 * (1 - rate / rates["alone"]), 1) for turn, rate in rates.items()}
    added = {turn: round(100 * (time / times["alone"] - 1), 1) for turn, time in times.items()}
    return {
        "writer_slowdown_percent": lost["relay"],
        "writer_slowdown_polling_percent": lost["polling"],
        "writer_slowdown_trigger_percent": lost["trigger"],
        "writer_slowdown_doorbell_percent": round(100 * (1 - rates["relay"] / rates["polling"]), 1),
        "writer_half_load_added_percent": added["relay"],
        "writer_half_load_added_polling_percent": added["polling"],
        "writer_half_load_added_trigger_percent": added["trigger"],
        "writer_rings_per_s": round(statistics.median(run.rings for run in full["relay"]), 1),
        "writer_transactions_per_s": round(rates["alone"]),
    }


async def run(folder: Path, turn: str, seconds: float, per_second: float | None, name: str) -> Run:
    """One turn of pgbench over a fresh database."""
    topic = servers.create_topic()
    async with servers.database() as uri:
        session: Any = await asyncpg.connect(uri)
        await session.execute(OutboxTable().ddl())
        for statement in SETUP:
            await session.execute(statement)
        if turn in ("trigger", "relay"):
            await servers.install(uri, "outbox", "schema", "doorbell")
        await session.execute("CHECKPOINT")
        await session.close()
        if turn in ("alone", "trigger"):
            found = pgbench(folder, uri, seconds, per_second)
        else:
            config = manifest(table="outbox", topic=topic, servers=servers.KAFKA)
            with RelayProcess(folder, config, uri, name) as relay:
                report = relay.wait_ready()
                if turn == "relay":
                    servers.require_doorbell(report)
                async with _rings(uri) as rings:
                    used = relay.cpu_seconds()
                    found = await asyncio.to_thread(pgbench, folder, uri, seconds, per_second)
                    used = relay.cpu_seconds() - used
                found = found._replace(relay_percent=100 * used / seconds, rings=len(rings) / seconds)
    servers.delete_topic(topic)
    return found


def pgbench(folder: Path, uri: str, seconds: float, per_second: float | None) -> Run:
    """What it prints of itself."""
    script = folder / "writers.sql"
    script.write_text(SCRIPT)
    program = postgres.binaries()
    assert program
    command = [str(program / "pgbench"), "-n", "-f", str(script), "-M", "prepared", "-T", f"{seconds:.0f}"]
    command += ["-c", str(CLIENTS), "-j", "2", *(["-R", f"{per_second:.0f}"] if per_second else [])]
    done = subprocess.run([*command, uri], check=False, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode or "ERROR" in done.stderr:
        raise SystemExit(f"pgbench failed: {done.stderr[-2000:]}")
    rate, latency = re.search(r"tps = ([\d.]+)", done.stdout), re.search(r"latency average = ([\d.]+)", done.stdout)
    assert rate, done.stdout
    assert latency, done.stdout
    # With a rate, pgbench's latency also has the time by which the transaction began late.
    lag = re.search(r"schedule lag: avg ([\d.]+)", done.stdout)
    late = float(lag[1]) if lag else 0.0
    return Run(float(rate[1]), float(latency[1]) - late, late)


@asynccontextmanager
async def _rings(uri: str) -> AsyncIterator[list[str]]:
    """What is heard of the doorbell meanwhile."""
    heard: list[str] = []
    session: Any = await asyncpg.connect(uri)
    channel = await session.fetchval("SELECT 'outboxrelay_' || 'outbox'::regclass::oid")
    await session.add_listener(channel, lambda *found: heard.append(str(found[2])))
    try:
        yield heard
        await session.execute("SELECT 1")
    finally:
        await session.close()


def _rotated(turns: tuple[str, ...], number: int) -> list[str]:
    start = number % len(turns)
    return [*turns[start:], *turns[:start]]


def _told(runs: dict[str, list[Run]]) -> str:
    return ", ".join(f"{turn} {found[-1]}" for turn, found in runs.items())
