"""What writers lose to a relay: pgbench commits small transactions, each with one outbox row, in turns.

Alone; with the doorbell's trigger on the table and no relay; with the doorbell and a relay that carries every row. The
first two differ by what the trigger costs, the last two by what the relay takes from the machine it shares with them.
A second round at half the rate shows what writers feel that do not saturate the machine: the time of a transaction.
"""

from __future__ import annotations

import re
import statistics
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.cluster import postgres
from tests.support.oracle import OutboxTable
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 12
ACCOUNTS = 100_000
SETUP = f"""
CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO account SELECT i, 0 FROM generate_series(1, {ACCOUNTS}) i;
VACUUM ANALYZE account;
"""
SCRIPT = f"""
\\set account random(1, {ACCOUNTS})
BEGIN;
UPDATE account SET balance = balance + 1 WHERE id = :account;
INSERT INTO outbox (aggregate_id, event_type, payload)
    VALUES ('a-' || :account, 'BalanceChanged', jsonb_build_object('account', :account, 'note', repeat('x', 200)));
COMMIT;
"""
TURNS = ("alone", "trigger", "relay")
HALF = 0.5


class Run(NamedTuple):
    """Transactions per second, and the mean milliseconds of one."""

    per_second: float
    milliseconds: float


async def measure(folder: Path, seconds: float, pairs: int) -> dict[str, float]:
    """Percent of the throughput of saturating writers, and percent added to a transaction at half their rate."""
    full: dict[str, list[Run]] = {turn: [] for turn in TURNS}
    half: dict[str, list[Run]] = {turn: [] for turn in TURNS}
    for number in range(pairs):
        for turn in _rotated(number):
            full[turn].append(await run(folder, turn, seconds, None, f"{turn}-{number}"))
        rate = HALF * statistics.median(one.per_second for one in full["alone"])
        for turn in _rotated(number):
            half[turn].append(await run(folder, turn, seconds, rate, f"{turn}-{number}-half"))
        told = ", ".join(
            f"{turn} {full[turn][-1].per_second:,.0f}/s ({half[turn][-1].milliseconds:.2f} ms at {rate:,.0f}/s)"
            for turn in TURNS
        )
        print(f"  turn {number + 1}: {told}", flush=True)
    rates = {turn: statistics.median(run.per_second for run in runs) for turn, runs in full.items()}
    times = {turn: statistics.median(run.milliseconds for run in runs) for turn, runs in half.items()}
    return {
        "writer_slowdown_percent": round(100 * (1 - rates["relay"] / rates["alone"]), 1),
        "writer_slowdown_trigger_percent": round(100 * (1 - rates["trigger"] / rates["alone"]), 1),
        "writer_half_load_added_percent": round(100 * (times["relay"] / times["alone"] - 1), 1),
        "writer_transactions_per_s": round(rates["alone"]),
    }


async def run(folder: Path, turn: str, seconds: float, per_second: float | None, name: str) -> Run:
    """One turn of pgbench over a fresh database."""
    topic = servers.create_topic()
    async with servers.database() as uri:
        session: Any = await asyncpg.connect(uri)
        await session.execute(OutboxTable().ddl())
        for statement in SETUP.split(";\n"):
            await session.execute(statement)
        if turn != "alone":
            await servers.install(uri, "outbox", "schema", "doorbell")
        await session.execute("CHECKPOINT")
        await session.close()
        with ExitStack() as stack:
            if turn == "relay":
                config = manifest(table="outbox", topic=topic, servers=servers.KAFKA)
                relay = stack.enter_context(RelayProcess(folder, config, uri, name))
                servers.require_doorbell(relay.wait_ready())
            found = pgbench(folder, uri, seconds, per_second)
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
    done = subprocess.run([*command, uri], check=True, capture_output=True, text=True, timeout=seconds + 60)
    rate, latency = re.search(r"tps = ([\d.]+)", done.stdout), re.search(r"latency average = ([\d.]+)", done.stdout)
    assert rate, done.stdout
    assert latency, done.stdout
    return Run(float(rate[1]), float(latency[1]))


def _rotated(number: int) -> list[str]:
    start = number % len(TURNS)
    return [*TURNS[start:], *TURNS[:start]]
