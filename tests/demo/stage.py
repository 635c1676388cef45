"""Where the demo plays: a database, a topic, a namespace and the operator, made for it and removed after it."""

from __future__ import annotations

import asyncio
import json
import os
import string
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.demo import screen
from tests.support.oracle import OutboxTable

CHART = "charts/outbox-relay-operator"
OPERATOR_NAMESPACE = "outboxrelay-system"
NAMESPACE = "shop"
RELAY = "orders"
MANIFEST = Path(__file__).with_name("orders.yaml")
READY_SECONDS = 120


class Stage:
    """Names and addresses of one performance."""

    def __init__(self) -> None:
        self.postgres = os.environ["OUTBOXRELAY_POSTGRES_URI"]
        self.servers = os.environ["OUTBOXRELAY_KAFKA_SERVERS"]
        self.image = os.environ["OUTBOXRELAY_IMAGE"]
        self.context = os.environ.get("OUTBOXRELAY_CONTEXT")
        self.is_local = os.environ.get("OUTBOXRELAY_INSIDE") is not None and not self.context
        """Whether the broker and the pods' processes are on this machine, within reach of a fault."""
        suffix = uuid.uuid4().hex[:6]
        self.database = self.role = f"shop_{suffix}"
        self.password = uuid.uuid4().hex
        self.topic = f"orders.events.{suffix}"

    @property
    def uri(self) -> str:
        """The service's own view of the database."""
        return urlunsplit(urlsplit(self.postgres)._replace(path=f"/{self.database}"))

    @property
    def relay_uri(self) -> str:
        """The relay's: a role that may read and delete rows of the outbox table, and nothing else."""
        parts = urlsplit(self.uri)
        return urlunsplit(parts._replace(netloc=f"{self.role}:{self.password}@{parts.netloc.rpartition('@')[2]}"))

    def kubectl(self, *arguments: str, stdin: str | None = None, quiet: bool = False) -> str:
        """kubectl in the demo's namespace."""
        context = ("--context", self.context) if self.context else ()
        return screen.run("kubectl", *context, "-n", NAMESPACE, *arguments, stdin=stdin, quiet=quiet)

    def install_operator(self) -> None:
        """helm install, as a user does it."""
        repository, _, tag = self.image.rpartition(":")
        context = ("--kube-context", self.context) if self.context else ()
        values = f"image.repository={repository},image.tag={tag},statusIntervalSeconds=3"
        command = ["helm", *context, "upgrade", "--install", "outbox-relay-operator", CHART]
        screen.run(
            *command, "--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--set", values, "--wait", quiet=True
        )
        screen.show(f"$ helm install outbox-relay-operator {CHART} --namespace {OPERATOR_NAMESPACE} --set {values}")
        screen.run(
            "kubectl", *(("--context", self.context) if self.context else ()), "-n", OPERATOR_NAMESPACE, "get", "pods"
        )

    async def build(self) -> None:
        """Database, role, table, topic, namespace and Secret."""
        server: Any = await asyncpg.connect(self.postgres)
        await server.execute(f"CREATE DATABASE {self.database}")
        await server.execute(f"CREATE ROLE {self.role} LOGIN PASSWORD '{self.password}'")
        await server.close()
        table = OutboxTable()
        shop: Any = await asyncpg.connect(self.uri)
        await shop.execute(table.ddl())
        await shop.execute(f"GRANT SELECT, DELETE ON {table.qualified} TO {self.role}")
        await shop.close()
        client = AdminClient({"bootstrap.servers": self.servers})
        await asyncio.to_thread(client.create_topics([NewTopic(self.topic, 6, 1)])[self.topic].result, 30)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(namespace), quiet=True)
        self.kubectl("delete", "secret", "orders-db", "--ignore-not-found", quiet=True)
        self.kubectl("create", "secret", "generic", "orders-db", f"--from-literal=uri={self.relay_uri}", quiet=True)

    def manifest(self) -> str:
        """The OutboxRelay, with the addresses of this performance."""
        values = {"servers": self.servers, "topic": self.topic}
        return string.Template(MANIFEST.read_text()).substitute(values)

    async def strike(self) -> None:
        """Remove what was made, the operator included."""
        self.kubectl("delete", "namespace", NAMESPACE, "--wait=true", quiet=True)
        context = ("--kube-context", self.context) if self.context else ()
        screen.run("helm", *context, "uninstall", "outbox-relay-operator", "-n", OPERATOR_NAMESPACE, quiet=True)
        self.kubectl("delete", "namespace", OPERATOR_NAMESPACE, "--wait=false", quiet=True)
        server: Any = await asyncpg.connect(self.postgres)
        await server.execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        await server.execute(f"DROP ROLE {self.role}")
        await server.close()
