"""One example on the cluster, as its comment says it is applied, with the addresses and passwords of the rig in it."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import yaml
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from outboxrelay.api.names import KIND

from .examples import EXAMPLES, ROOT, objects
from .kubectl import Object
from .printed_sql import piped, psql
from .stand import Stand

KAFKA_LOGIN = {"username": "relay", "password": "relay-secret"}


@dataclass
class Trial:
    """``async with trial(…) as it:`` has databases, roles and topics; ``apply`` brings the manifest."""

    name: str
    stand: Stand
    folder: Path
    key: str = field(default_factory=lambda: f"order-{uuid.uuid4().hex[:8]}")
    """Of all that is written."""
    uris: dict[str, str] = field(default_factory=dict)
    """For the administrator, by relay."""
    roles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.example = EXAMPLES[self.name]
        self.objects = objects(self.name)
        self.relays = [item for item in self.objects if item["kind"] == KIND]

    async def prepare(self) -> None:
        """Databases with their tables, roles with the printed privileges, topics."""
        for number, relay in enumerate(self.relays):
            database = self.stand.database + (f"_{number}" if number else "")
            if number:
                await self.stand.sql(f"CREATE DATABASE {database}", uri=self.stand.rig.postgres)
            uri = self.uris[relay["metadata"]["name"]] = self.stand.rig.database(database)
            role = f"{database}_relay"
            await self.stand.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
            self.roles.append(role)
            await asyncio.to_thread(self._run_sql, uri, role, relay)
        await asyncio.to_thread(self._make_topics)

    def _run_sql(self, uri: str, role: str, relay: Object) -> None:
        file = self.folder / f"{relay['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(relay))
        for name in self.example.sql:
            psql(uri, (ROOT / name).read_text())
        piped(uri, "--config", str(file), "--role", role)
        for arguments in self.example.parts:
            needs_none = {"--table", "inbox"}.intersection(arguments)
            piped(uri, *arguments, *(() if needs_none else ("--config", str(file))))

    def _make_topics(self) -> None:
        names = {arrival.topic for arrival in self.example.arrivals} | set(self.example.topics)
        client = AdminClient({"bootstrap.servers": self.stand.rig.kafka})
        for future in client.create_topics([NewTopic(name, 1, 1) for name in sorted(names)]).values():
            try:
                future.result(30)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    async def apply(self) -> None:
        """kubectl apply of the manifest, and of the Secrets that it refers to; unknown fields are refused."""
        secrets = self.secrets()
        for written in (item for item in self.objects if item["kind"] == "Secret"):
            name = written["metadata"]["name"]
            assert set(written["stringData"]) == set(secrets[name]), f"keys of Secret {name} in {self.name}"
        made = [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
            for name, values in secrets.items()
        ]
        rest = [self.adapted(item) for item in self.objects if item["kind"] != "Secret"]
        text = yaml.safe_dump_all([*made, *rest])
        await self.stand.kubectl.run("apply", "--validate=strict", "-f", "-", stdin=text)

    def adapted(self, item: Object) -> Object:
        """An object with the brokers of the rig; by TLS where the example says which authority, else in the plain."""
        if item["kind"] != KIND:
            return item
        target = item["spec"]["target"]
        found = {**target, "bootstrapServers": self.stand.rig.kafka.split(",")}
        if "caSecretRef" in target:
            servers = os.environ[f"OUTBOXRELAY_KAFKA_{target['protocol']}_SERVERS"]
            found["bootstrapServers"] = servers.split(",")
        else:
            found["protocol"] = "PLAINTEXT"
        return {**item, "spec": {**item["spec"], "target": found}}

    def secrets(self) -> dict[str, dict[str, str]]:
        """The Secrets that the relays refer to, by name, each with the keys that are asked for."""
        found: dict[str, dict[str, str]] = {}
        for relay, role in zip(self.relays, self.roles, strict=True):
            uri = self.uris[relay["metadata"]["name"]].replace("outbox:outbox@", f"{role}:{role}@")
            if "caSecretRef" in relay["spec"]["source"]["database"]:
                uri = uri.replace("sslmode=disable", "sslmode=verify-full")
            for kind, ref in references(relay["spec"]):
                found.setdefault(ref["name"], {}).update(self._values(kind, ref, uri))
        return found

    def _values(self, kind: str, ref: dict[str, str], uri: str) -> dict[str, str]:
        if kind == "uriSecretRef":
            return {ref["key"]: uri}
        if kind == "caSecretRef":
            return {ref["key"]: Path(os.environ["OUTBOXRELAY_CA_FILE"]).read_text()}
        assert kind == "credentialsSecretRef", kind
        return KAFKA_LOGIN

    async def write(self) -> None:
        """The rows, each in a transaction of its own, as the service."""
        session: Any = await asyncpg.connect(self.uris[self.relays[0]["metadata"]["name"]], timeout=20)
        try:
            for statement in self.example.inserts:
                await session.execute(statement, self.key)
        finally:
            await session.close()


def references(part: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Every reference to a Secret below ``part``: the field's name and what it says."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name.endswith("SecretRef"):
                yield name, value
            else:
                yield from references(value)


@asynccontextmanager
async def trial(stand: Stand, name: str, folder: Path) -> AsyncIterator[Trial]:
    """An example on a stand; databases and roles of its own go with the block."""
    made = Trial(name, stand, folder)
    admin = stand.rig.postgres
    try:
        await made.prepare()
        yield made
    finally:
        await stand.kubectl.run("delete", "outboxrelays", "--all", "--timeout=30s")
        for number in range(1, len(made.relays)):
            await stand.sql(f"DROP DATABASE IF EXISTS {stand.database}_{number} WITH (FORCE)", uri=admin)
        for role in made.roles:
            # Its rights in the stand's own database go first.
            await stand.sql(f"DROP OWNED BY {role}")
            await stand.sql(f"DROP ROLE {role}", uri=admin)


@asynccontextmanager
async def service(file: str, **environment: str) -> AsyncIterator[None]:
    """A program of the examples, while the block runs; it must not end before."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / file)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            said, _ = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0, said
