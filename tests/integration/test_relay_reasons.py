"""What is wrong outside is named by its reason, at /state, within seconds."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=1) as found:
        await found.database.execute(Path("examples/outbox.sql").read_text())
        yield found


Change = Callable[[dict[str, Any]], None]


def table(**fields: Any) -> Change:
    return lambda spec: spec["source"]["table"].update(fields)


def target(**fields: Any) -> Change:
    return lambda spec: spec["target"].update(fields)


SOURCE = {
    "missing table": (table(name="outbocks"), "TableNotFound", "did you mean public.outbox?"),
    "missing column": (table(columns={"eventId": "uid"}), "SchemaMismatch", "set spec.source.table.columns.eventId"),
    "wrong type": (table(columns={"payload": "created_at"}), "SchemaMismatch", "columns.payload must be jsonb or"),
    "text as id": (table(columns={"id": "event_type"}), "SchemaMismatch", "the order of delivery follows it"),
}


@pytest.mark.parametrize("case", SOURCE)
async def test_a_table_that_does_not_fit_is_named(line: RelayLine, case: str) -> None:
    change, reason, words = SOURCE[case]
    config = line.manifest()
    change(config["spec"])
    relay = line.start(config=config)
    report = await asyncio.to_thread(relay.wait, lambda report: report["source"]["healthy"] is False, 20)
    assert report["source"]["reason"] == reason
    assert words in report["source"]["message"]
    assert not report["ready"]


LOGIN: dict[str, tuple[Callable[[str], str], str]] = {
    "wrong password": (lambda uri: uri.replace(":outbox@", ":wr0ng-secret@"), "AuthenticationFailed"),
    "closed port": (lambda uri: uri.replace(":5432", ":1"), "ConnectFailed"),
    "unknown host": (lambda uri: uri.replace("postgres.rig.test", "nowhere.rig.test"), "ConnectFailed"),
    "untrusted certificate": (lambda uri: uri.replace("sslmode=disable", "sslmode=verify-full"), "TLSFailed"),
    "not a URI": (lambda _: "wr0ng-secret", "ConnectFailed"),
}


@pytest.mark.parametrize("case", LOGIN)
async def test_a_database_that_cannot_be_reached_is_named_without_credentials(line: RelayLine, case: str) -> None:
    change, reason = LOGIN[case]
    relay = line.start(uri=change(line.uri))
    report = await asyncio.to_thread(relay.wait, lambda report: report["source"]["healthy"] is False, 20)
    assert report["source"]["reason"] == reason
    assert "wr0ng-secret" not in relay.log.read_text() + str(report)
    assert "outbox:outbox" not in relay.log.read_text()


async def test_a_read_only_database_and_a_missing_grant_are_named_and_delivery_starts_when_they_are_mended(
    line: RelayLine,
) -> None:
    name = await line.database.fetchval("SELECT current_database()")
    await line.database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'; GRANT SELECT ON outbox TO {name}")
    await line.database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await line.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")
    relay = line.start(uri=line.uri.replace("outbox:outbox@", f"{name}:x@"))
    try:
        await asyncio.to_thread(relay.wait, lambda report: report["source"]["reason"] == "ReadOnly", 20)
        await line.database.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        report = await asyncio.to_thread(
            relay.wait, lambda report: report["source"]["reason"] == "PermissionDenied", 20
        )
        assert f'GRANT DELETE ON public.outbox TO "{name}"' in report["source"]["message"]
        await line.database.execute(f"GRANT DELETE ON outbox TO {name}")
        await line.emptied()
    finally:
        await asyncio.to_thread(relay.stop)
        await line.database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


TARGET = {
    "missing topic": (target(topic="no-such-topic"), "TopicNotFound"),
    "closed port": (target(bootstrapServers=["kafka.rig.test:1"]), "BrokerUnavailable"),
    "wrong protocol": (target(protocol="SSL"), "TLSFailed"),
}


@pytest.mark.parametrize("case", TARGET)
async def test_brokers_that_take_nothing_are_named(line: RelayLine, case: str) -> None:
    change, reason = TARGET[case]
    config = line.manifest()
    change(config["spec"])
    if case == "wrong protocol":
        config["spec"]["target"]["bootstrapServers"] = [os.environ["OUTBOXRELAY_KAFKA_SSL_SERVERS"]]
    relay = line.start(config=config)
    report = await asyncio.to_thread(relay.wait, lambda report: report["target"]["healthy"] is False, 30)
    assert report["target"]["reason"] == reason, report["target"]
    assert not report["ready"]
    assert report["shards"]["members"] == 0


async def test_a_wrong_sasl_password_is_named(line: RelayLine) -> None:
    folder = line.folder / "credentials" / "kafka"
    folder.mkdir(parents=True)
    (folder / "username").write_text("relay")
    (folder / "password").write_text("wr0ng-secret")
    config = line.manifest()
    config["spec"]["target"] |= {
        "bootstrapServers": [os.environ["OUTBOXRELAY_KAFKA_SASL_PLAINTEXT_SERVERS"]],
        "protocol": "SASL_PLAINTEXT", "saslMechanism": "SCRAM-SHA-256", "credentialsSecretRef": {"name": "kafka"},
    }  # fmt: skip
    relay = line.start(config=config)
    report = await asyncio.to_thread(relay.wait, lambda report: report["target"]["healthy"] is False, 30)
    assert report["target"]["reason"] == "AuthenticationFailed", report["target"]
    assert "wr0ng-secret" not in relay.log.read_text()


async def test_too_few_in_sync_replicas_are_named(tmp_path: Path) -> None:
    async with relay_line(tmp_path, settings={"min.insync.replicas": "2"}) as line:
        await line.database.execute(Path("examples/outbox.sql").read_text())
        relay = line.start()
        report = await asyncio.to_thread(relay.wait, lambda report: report["target"]["healthy"] is False, 30)
        assert report["target"]["reason"] == "NotEnoughInSyncReplicas"
