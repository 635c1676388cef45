"""A relay that logs in as a role which has the privileges that `outboxrelay sql` prints, and no other."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.merging import merged
from tests.support.printed_sql import piped
from tests.support.relay_line import RelayLine, relay_line
from tests.support.relay_process import RelayProcess


@dataclass
class RoleLine:
    """A line whose relay logs in as a role of its own; the table is in schema shop."""

    line: RelayLine
    role: str
    folder: Path

    @property
    def uri(self) -> str:
        """For the role."""
        return self.line.uri.replace("outbox:outbox@", f"{self.role}:x@")

    def config(self, **spec: Any) -> dict[str, Any]:
        """The relay's manifest."""
        base = self.line.manifest()
        base["spec"]["source"]["table"] = {"schema": "shop", "name": "outbox"}
        base["spec"] = merged(base["spec"], spec)
        if "topicTemplate" in base["spec"]["target"]:
            del base["spec"]["target"]["topic"]
        return base

    async def install(self, config: dict[str, Any], *parts: str, role: str | None = None) -> str:
        """Print by the command, run by psql; what was printed. GRANTs are for this role, or for another."""
        file = self.folder / "manifest.yaml"
        file.write_text(yaml.safe_dump(config))
        options = [item for part in parts for item in ("--part", part)]
        if {"all", "grants"}.intersection(parts):
            options += ["--role", role or self.role]
        return await asyncio.to_thread(piped, self.line.uri, "--config", str(file), *options)

    def start(self, config: dict[str, Any]) -> RelayProcess:
        """The relay, as the role."""
        return self.line.start(config=config, uri=self.uri)

    async def insert(self, count: int, columns: str = "", values: str = "") -> None:
        """Rows of three keys."""
        await self.line.database.execute(
            f"INSERT INTO shop.outbox (aggregate_id, event_type, payload{columns}) "
            f"SELECT 'k' || i % 3, 'T', '{{}}'{values} FROM generate_series(1, {count}) AS i"
        )


@asynccontextmanager
async def role_line(folder: Path) -> AsyncIterator[RoleLine]:
    """A database, a topic and a role; all go with the block but the topic."""
    async with relay_line(folder, partitions=1) as line:
        role = f"relay_{uuid.uuid4().hex[:8]}"
        name = await line.database.fetchval("SELECT current_database()")
        await line.database.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD 'x'; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
        )
        try:
            yield RoleLine(line, role, folder)
        finally:
            for relay in line.relays:
                await asyncio.to_thread(relay.stop)
            await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
