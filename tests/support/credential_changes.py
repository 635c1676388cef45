"""Relays whose passwords and certificates change: what is changed, waited for, and must not have happened."""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.oracle import Oracle
from tests.support.relay_line import RelayLine
from tests.support.relay_process import RelayProcess
from tests.support.rotation import ScramUser, logged, replace_file

FAILURES = ("session_lost", "source_failed", "circuit_open", "delivery_given_up")
"""Actions of a relay that lost something."""
SECRETS = ("first-secret", "second-secret", "wrong-secret")
FIRST, SECOND, WRONG = SECRETS
SASL_PORT = 9095


def oracle_of(line: RelayLine) -> Oracle:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return Oracle(line.uri, line.servers, line.topic, seed=seed, keys=100)


def change(line: RelayLine, secret: str, key: str, text: str) -> None:
    replace_file(line.folder / "credentials" / secret / key, text)


async def switched(relay: RelayProcess, side: str, times: int = 1) -> None:
    """Wait until the relay has gone over to other credentials so often."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(found) < times:
            assert relay.process.poll() is None
            await asyncio.sleep(0.1)
            found = [line for line in logged(relay, "credentials_switched") if line["side"] == side]
    print(f"{side} switched in {found[-1]['seconds'] * 1000:.0f} ms")


async def shared(*relays: RelayProcess, each: int = 8) -> None:
    """Wait until each relay has its share."""
    for relay in relays:
        await asyncio.to_thread(relay.wait, lambda report: len(report["shards"]["owned"]) == each, 30)
        await asyncio.to_thread(relay.wait_ready)


async def told(relay: RelayProcess, words: str) -> str:
    """Wait for a notice with ``words``."""
    report = await asyncio.to_thread(relay.wait, lambda found: any(words in notice for notice in found["notices"]), 30)
    return str(next(notice for notice in report["notices"] if words in notice))


async def flows(oracle: Oracle, events: int = 100) -> None:
    """Wait for so many more events."""
    goal = len(oracle.consumer.ids) + events
    assert await asyncio.to_thread(oracle.consumer.wait_until, lambda: len(oracle.consumer.ids) >= goal, 30)


def nothing_was_lost(*relays: RelayProcess) -> None:
    """No relay gave a connection, a shard or a batch up, and no secret got into a log."""
    for relay in relays:
        assert {name: logged(relay, name) for name in FAILURES} == {name: [] for name in FAILURES}
        assert len(logged(relay, "member_joined")) == 1
        says_no_secret(relay)


def says_no_secret(relay: RelayProcess) -> None:
    said = relay.log.read_text() + str(relay.state())
    assert [secret for secret in SECRETS if secret in said] == []


@dataclass
class Role:
    """A role of the database whose password changes."""

    line: RelayLine
    name: str

    def uri(self, password: str, host: str | None = None) -> str:
        uri = self.line.uri.replace("outbox:outbox@", f"{self.name}:{password}@")
        return uri if host is None else uri.replace("@postgres.rig.test", f"@{host}")

    async def set_password(self, password: str) -> None:
        await self.line.database.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'")

    async def sessions(self, kind: str = "", before: Any = None) -> int:
        """Open sessions of the relays; ``kind`` ends their name; those that began ``before``."""
        found: int = await self.line.database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE '%' || $2 "
            "AND ($3::timestamptz IS NULL OR backend_start < $3)",
            self.name, kind, before,
        )  # fmt: skip
        return found

    async def end_sessions(self, kind: str = "", before: Any = None) -> None:
        await self.line.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 "
            "AND application_name LIKE '%' || $2 AND ($3::timestamptz IS NULL OR backend_start < $3)",
            self.name, kind, before,
        )  # fmt: skip


@asynccontextmanager
async def role(line: RelayLine, table: str = "outbox") -> AsyncIterator[Role]:
    """A role with what a relay needs; goes with the block, the relays first."""
    name = f"rotating_{uuid.uuid4().hex[:8]}"
    await line.database.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD '{FIRST}'; GRANT SELECT, DELETE, UPDATE ON {table} TO {name}"
    )
    try:
        yield Role(line, name)
    finally:
        for relay in line.relays:
            await asyncio.to_thread(relay.stop)
        await line.database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def scram_user(number: int = 0) -> ScramUser:
    """A user of the brokers that only these tests use."""
    user = ScramUser(os.environ["OUTBOXRELAY_KAFKA_SERVERS"], f"rotating-{number}")
    await user.set_password(FIRST)
    return user


def scram_target(line: RelayLine, user: ScramUser, password: str = FIRST) -> dict[str, Any]:
    change(line, "kafka", "username", user.name)
    change(line, "kafka", "password", password)
    return {
        "bootstrapServers": os.environ["OUTBOXRELAY_KAFKA_SASL_PLAINTEXT_SERVERS"].split(","),
        "protocol": "SASL_PLAINTEXT",
        "saslMechanism": "SCRAM-SHA-512",
        "credentialsSecretRef": {"name": "kafka"},
    }
