"""The steps of the how-to, one after the other. Whatever waits does so in a thread: the writer never stops."""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.migration import page
from tests.support.merging import merged
from tests.support.printed_sql import piped
from tests.support.relay_process import SECRET, RelayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.benchmarks.connect import Connect
    from tests.support.relay_line import RelayLine

NAME = "orders"
PASSWORD = "x"
PATIENCE = 120.0
"""Seconds after which something that is waited for hangs; no promise."""
LOOK_SECONDS = 0.2


@dataclass
class Switch:
    """One table on its way from the connector NAME to a relay, and back."""

    line: RelayLine
    connect: Connect
    config: dict[str, str]
    """Of the connector."""
    role: str
    relays: list[RelayProcess] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where files of this run go."""
        return self.line.folder

    async def start_debezium(self) -> None:
        """A connector as it was before anybody thought of leaving."""
        await asyncio.to_thread(self.connect.create, NAME, self.config)

    async def make_ready(self) -> None:
        """Step 2: a column that tells the order, the relay's own tables, and its role."""
        await self.sql(page.statement(page.NUMBER))
        file = self.folder / "orders.yaml"
        file.write_text(yaml.safe_dump(self.manifest()))
        await self.sql(f"CREATE ROLE {self.role} LOGIN PASSWORD '{PASSWORD}'")
        await asyncio.to_thread(piped, self.line.uri, "--config", str(file), "--role", self.role)

    async def declare_paused(self) -> None:
        """Step 3: the relay is there, reaches both sides, and reads nothing."""
        paused = self._relay("Paused")
        report = await asyncio.to_thread(paused.wait, lambda found: found["ready"], PATIENCE)
        if report["state"] != "Paused" or report["shards"]["owned"] or report["limitations"]:
            raise SystemExit(f"the relay is not just paused: {report}")

    async def note(self) -> None:
        """Step 4, first half: which rows are there, and where the log is."""
        await self.sql(page.statement(page.NOTE))

    async def passed(self, seconds: float = PATIENCE) -> float | None:
        """Step 4, second half: the seconds until Debezium has confirmed them; None: not in ``seconds``."""
        began, question = time.monotonic(), page.statement(page.PASSED)
        while time.monotonic() - began < seconds:
            rows = await self.line.database.fetch(question)
            if rows and all(row["passed"] for row in rows):
                return time.monotonic() - began
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def stop_debezium(self, *, delete: bool = False) -> None:
        """Step 5, first half: the connector is stopped, or deleted as before Kafka 3.5, and its slot not active."""
        await asyncio.to_thread(self.connect.delete if delete else self.connect.stop, NAME)
        async with asyncio.timeout(PATIENCE):
            while await self.is_active():
                await asyncio.sleep(LOOK_SECONDS)

    async def start_relay(self) -> None:
        """Step 5, second half: what Debezium has sent is deleted, and the relay runs instead of being paused."""
        await self.sql(page.statement(page.FORGET))
        running = self._relay("Running")
        # As a rollout does: the new one is ready before the old one ends, which here has nothing to give up.
        await asyncio.to_thread(running.wait_ready, PATIENCE)
        await self._end(self.relays[:-1])

    async def go_back(self, *, deleted: bool = False) -> None:
        """Pause the relay, and start the connector again."""
        await self._end(self.relays)
        await self.declare_paused()
        if deleted:
            await self.start_debezium()
        else:
            await asyncio.to_thread(self.connect.resume, NAME)
            await asyncio.to_thread(self.connect.wait_for, NAME, "RUNNING")

    async def end_debezium(self) -> None:
        """Step 6: nothing of it is left."""
        await asyncio.to_thread(self.connect.delete, NAME)
        await self.sql(page.statement(page.END))

    async def is_active(self) -> bool:
        """Whether somebody reads from Debezium's slot."""
        return "active" in await self.slots()

    async def slots(self) -> list[str]:
        """How each replication slot of this database is: active or idle. Debezium has one, where it has any."""
        rows = await self.line.database.fetch(
            "SELECT active FROM pg_replication_slots WHERE database = current_database()"
        )
        return ["active" if row["active"] else "idle" for row in rows]

    async def sql(self, text: str) -> None:
        """Run statements with psql, as a reader does."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.line.uri]
        done = await asyncio.to_thread(
            subprocess.run, command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            raise SystemExit(f"{done.stderr}\n{text}")

    def manifest(self, state: str = "Paused") -> dict[str, Any]:
        """The page's, for the servers that are here."""
        here = {"bootstrapServers": self.line.servers.split(","), "protocol": "PLAINTEXT"}
        source = {"database": {"uriSecretRef": {"name": SECRET}}}
        return merged(page.manifest(), {"spec": {"state": state, "source": source, "target": here}})

    def _relay(self, state: str) -> RelayProcess:
        """A pod of it, which logs in as the role."""
        uri = self.line.uri.replace("outbox:outbox@", f"{self.role}:{PASSWORD}@")
        self.relays.append(self.line.start(config=self.manifest(state), uri=uri))
        return self.relays[-1]

    async def _end(self, relays: list[RelayProcess]) -> None:
        for relay in relays:
            await asyncio.to_thread(relay.stop)
        self.relays = [relay for relay in self.relays if relay not in relays]


@asynccontextmanager
async def switch(line: RelayLine, connect: Connect, config: dict[str, str], role: str) -> AsyncIterator[Switch]:
    """The table's way; connector, slot and role go with the block, so that the database can."""
    made = Switch(line, connect, config, role)
    try:
        yield made
    finally:
        for relay in line.relays:
            await asyncio.to_thread(relay.stop)
        if NAME in (await asyncio.to_thread(connect.ask, "GET", "/connectors") or []):
            await made.stop_debezium(delete=True)
        await line.database.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
        )
        if await line.database.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
            await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
