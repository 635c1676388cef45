"""What one end-to-end test stands on: a namespace and a database of its own, and lines from a table to a topic."""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Self

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from .kubectl import Kubectl, Object
from .line import Line
from .oracle import OutboxTable
from .rig import Rig


@dataclass
class Stand:
    """``async with Stand(rig) as stand:`` makes a namespace and a database; both go with it."""

    rig: Rig
    name: str = field(default_factory=lambda: f"e2e-{uuid.uuid4().hex[:8]}")
    lines: dict[str, Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kubectl = Kubectl(self.name, self.rig.context)
        self.database = self.name.replace("-", "_")
        self.uri = self.rig.database(self.database)
        """The service's and the oracle's view of the database."""

    async def __aenter__(self) -> Self:
        await self.sql(f"CREATE DATABASE {self.database}", uri=self.rig.postgres)
        await self.kubectl.run("create", "namespace", self.name)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kubectl.run("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")
        await self.sql(f"DROP DATABASE {self.database} WITH (FORCE)", uri=self.rig.postgres)
        for line in self.lines.values():
            await self.sql(f"DROP ROLE IF EXISTS {line.role}", uri=self.rig.postgres)

    async def sql(self, *statements: str, uri: str | None = None) -> None:
        """Run statements as the database's administrator."""
        session: Any = await asyncpg.connect(uri or self.uri, timeout=20)
        try:
            for statement in statements:
                await session.execute(statement)
        finally:
            await session.close()

    async def value(self, query: str, *arguments: object) -> Any:
        """One value, as the database's administrator sees it."""
        session: Any = await asyncpg.connect(self.uri, timeout=20)
        try:
            return await session.fetchval(query, *arguments)
        finally:
            await session.close()

    async def line(self, name: str = "orders", *, partitions: int = 3, settings: dict[str, str] | None = None) -> Line:
        """A table, a role that may read and delete its rows, a Secret with the role's URI, and a topic."""
        line = self.plan(name)
        await self.create_table(line)
        await self.create_role(line)
        await self.create_secret(line)
        await self.create_topic(line, partitions, settings)
        return line

    def plan(self, name: str) -> Line:
        """The names of a line of which nothing exists yet."""
        table = OutboxTable(name=f"outbox_{name.replace('-', '_')}" if self.lines else "outbox")
        role = f"{self.database}_{name.replace('-', '_')}"
        line = Line(
            name=name,
            table=table,
            role=role,
            password=uuid.uuid4().hex,
            secret=f"{name}-db",
            topic=f"{self.name}.{name}",
            uri=self.uri,
            servers=self.rig.kafka,
            kubectl=self.kubectl,
        )
        self.lines[name] = line
        return line

    async def create_table(self, line: Line) -> None:
        """The outbox table; readable by the role where that exists already."""
        await self.sql(line.table.ddl())
        if await self.value("SELECT 1 FROM pg_roles WHERE rolname = $1", line.role):
            await self.grant(line)

    async def create_role(self, line: Line) -> None:
        """The relay's role; its rights where the table exists already."""
        await self.sql(f"CREATE ROLE {line.role} LOGIN PASSWORD '{line.password}'")
        if await self.value("SELECT to_regclass($1)::text", line.table.qualified):
            await self.grant(line)

    async def grant(self, line: Line) -> None:
        """All that the relay needs of the table."""
        await self.sql(f"GRANT SELECT, DELETE ON {line.table.qualified} TO {line.role}")

    async def create_secret(self, line: Line, *, key: str = "uri", password: str | None = None) -> None:
        """The Secret with the relay's URI; replaced where it exists."""
        await self.kubectl.apply(self.secret(line, key=key, password=password))

    def secret(self, line: Line, *, key: str = "uri", password: str | None = None) -> Object:
        """The Secret as an object."""
        uri = self.rig.database(self.database, user=line.role, password=password or line.password)
        metadata = {"name": line.secret, "namespace": self.name}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: uri}}

    async def create_topic(self, line: Line, partitions: int = 3, settings: dict[str, str] | None = None) -> None:
        """The topic, and the wait until the broker knows it."""
        client = AdminClient({"bootstrap.servers": self.rig.kafka})
        topic = NewTopic(line.topic, partitions, 1, config=settings or {})
        await asyncio.to_thread(client.create_topics([topic])[line.topic].result, 30)

    async def change_password(self, line: Line) -> Line:
        """ALTER ROLE and the Secret, as a rotation does it; sessions with the old password end."""
        changed = replace(line, password=uuid.uuid4().hex)
        self.lines[line.name] = changed
        await self.sql(f"ALTER ROLE {line.role} PASSWORD '{changed.password}'")
        await self.create_secret(changed)
        return changed

    async def end_sessions(self, line: Line) -> None:
        """End what the relay and the operator have open."""
        await self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{line.role}'")
