"""Every way to log in, to the real servers; and the real PgBouncer between."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Oracle
from tests.support.pgbouncer import pgbouncer
from tests.support.relay_line import RelayLine, judged, relay_line
from tests.support.rotation import logged
from tests.support.token_endpoint import token_endpoint

pytestmark = pytest.mark.needs_services

KAFKA_LOGIN = {"name": "kafka"}


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


def secret(line: RelayLine, name: str, **values: str) -> None:
    folder = line.folder / "credentials" / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in values.items():
        (folder / key.replace("_", ".")).write_text(value)


async def one_row(line: RelayLine) -> None:
    await line.database.execute(Path("examples/outbox.sql").read_text())
    await line.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")


def servers(kind: str) -> list[str]:
    return os.environ[f"OUTBOXRELAY_KAFKA_{kind}_SERVERS"].split(",")


async def test_data_goes_through_a_transaction_pooler_and_the_locks_past_it(line: RelayLine) -> None:
    async with pgbouncer(line.uri, line.folder) as pooled:
        direct = {"host": "postgres.rig.test", "port": 5432}
        async with Oracle(line.uri, line.servers, line.topic, seed=7, keys=50) as oracle, asyncio.timeout(120):
            await oracle.writer.create_table()
            relays = [line.start(uri=pooled, source={"database": {"direct": direct}}) for _ in range(2)]
            for relay in relays:
                await asyncio.to_thread(relay.wait_ready)
            await oracle.writer.write(1_000, late_share=0.2, rollback_share=0.2, hold=0.05)
            result = await judged(oracle, line)
    assert result.passed, result.report()


async def test_locks_through_a_transaction_pooler_are_refused_and_the_way_out_is_named(line: RelayLine) -> None:
    await one_row(line)
    async with pgbouncer(line.uri, line.folder) as pooled:
        relays = [line.start(uri=pooled) for _ in range(3)]
        said: list[str] = []
        async with asyncio.timeout(60):
            # Which of those that share a session notices it, chance decides.
            while not said:
                reports = [relay.state() or {} for relay in relays]
                sources = [report["source"] for report in reports if report]
                said = [source["message"] for source in sources if source["reason"] == "UnsupportedServer"]
                await asyncio.sleep(0.1)
    assert "spec.source.database.direct" in said[0]


async def test_a_client_certificate_logs_in_to_the_database(line: RelayLine) -> None:
    await one_row(line)
    exists = await line.database.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'cert_only'")
    if not exists:
        await line.database.execute("CREATE ROLE cert_only LOGIN")
    await line.database.execute("GRANT SELECT, DELETE ON outbox TO cert_only")
    chain = Path(os.environ["OUTBOXRELAY_CLIENT_CERTIFICATE"])
    ca = Path(os.environ["OUTBOXRELAY_CA_FILE"]).read_text()
    secret(line, "proof", tls_crt=chain.read_text(), tls_key=chain.with_suffix(".key").read_text(), ca=ca)
    name = line.uri.rsplit("/", 1)[1].split("?")[0]
    uri = f"postgresql://cert_only@postgres.rig.test:5432/{name}?sslmode=verify-full"
    database = {"clientCertificateSecretRef": {"name": "proof"}, "caSecretRef": {"name": "proof", "key": "ca"}}
    line.start(uri=uri, source={"database": database})
    await line.emptied()
    await line.database.execute("DROP OWNED BY cert_only")


async def test_what_is_no_certificate_is_named_and_not_shown(line: RelayLine) -> None:
    await one_row(line)
    secret(
        line, "proof", tls_crt="swordfish", tls_key="swordfish", ca=Path(os.environ["OUTBOXRELAY_CA_FILE"]).read_text()
    )
    database = {"clientCertificateSecretRef": {"name": "proof"}, "caSecretRef": {"name": "proof", "key": "ca"}}
    relay = line.start(uri=line.uri.replace("=disable", "=verify-full"), source={"database": database})
    report = relay.wait(lambda found: found["source"]["reason"] == "TLSFailed", 30)
    assert "clientCertificateSecretRef" in report["source"]["message"]
    assert "swordfish" not in relay.log.read_text()


def tls_target(line: RelayLine, kind: str, **more: Any) -> dict[str, Any]:
    secret(line, "authority", ca=Path(os.environ["OUTBOXRELAY_CA_FILE"]).read_text())
    return {
        "bootstrapServers": servers(kind),
        "protocol": "SSL",
        "caSecretRef": {"name": "authority", "key": "ca"},
        **more,
    }


async def test_a_client_certificate_logs_in_to_the_brokers(line: RelayLine) -> None:
    await one_row(line)
    chain = Path(os.environ["OUTBOXRELAY_CLIENT_CERTIFICATE"])
    secret(line, "proof", tls_crt=chain.read_text(), tls_key=chain.with_suffix(".key").read_text())
    line.start(target=tls_target(line, "MTLS", clientCertificateSecretRef={"name": "proof"}))
    await line.emptied()


async def test_brokers_that_ask_for_a_certificate_let_nobody_in_without_one(line: RelayLine) -> None:
    await one_row(line)
    relay = line.start(target=tls_target(line, "MTLS"))
    report = relay.wait(lambda found: found["target"]["healthy"] is False, 30)
    assert report["target"]["reason"] in ("TLSFailed", "BrokerUnavailable")
    assert await line.pending() == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_each_password_mechanism_logs_in_and_a_wrong_password_is_named(line: RelayLine, mechanism: str) -> None:
    await one_row(line)
    secret(line, "kafka", username="relay", password="wrong")
    target = {
        "bootstrapServers": servers("SASL_PLAINTEXT"), "protocol": "SASL_PLAINTEXT", "saslMechanism": mechanism,
        "credentialsSecretRef": KAFKA_LOGIN,
    }  # fmt: skip
    relay = line.start(target=target)
    relay.wait(lambda found: found["target"]["reason"] == "AuthenticationFailed", 30)
    secret(line, "kafka", password="relay-secret")
    await line.emptied()


async def test_client_credentials_get_a_token_that_logs_in_and_a_wrong_secret_is_named(line: RelayLine) -> None:
    await one_row(line)
    with token_endpoint("right") as (url, requests):
        secret(line, "kafka", username="relay", password="wrong")
        target = {
            "bootstrapServers": servers("OAUTH"), "protocol": "SASL_PLAINTEXT", "saslMechanism": "OAUTHBEARER",
            "credentialsSecretRef": KAFKA_LOGIN, "oauth": {"tokenEndpointUrl": url, "scope": "events"},
        }  # fmt: skip
        relay = line.start(target=target)
        report = relay.wait(lambda found: found["target"]["healthy"] is False, 40)
        assert report["target"]["reason"] == "AuthenticationFailed", report["target"]
        secret(line, "kafka", password="right")
        await line.emptied()
        assert any("grant_type=client_credentials" in body and "scope=events" in body for body in requests)


async def test_a_password_that_was_changed_is_used_at_the_next_connect_and_the_place_is_kept(line: RelayLine) -> None:
    await one_row(line)
    role = f"rotating_{line.topic.replace('-', '_')}"
    await line.database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first'; GRANT SELECT, DELETE ON outbox TO {role}")
    uri = line.uri.replace("outbox:outbox@", f"{role}:first@")
    try:
        relay = line.start(uri=uri)
        await line.emptied()
        await line.database.execute(f"ALTER ROLE {role} PASSWORD 'second'")
        secret(line, "source", uri=uri.replace(":first@", ":second@"))
        await line.database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
        # Rows that are on their way while it notices are sent twice, as they may be: write when it is back.
        async with asyncio.timeout(60):
            while len(logged(relay, "member_joined")) < 2:
                await asyncio.sleep(0.05)
        await line.database.execute(
            "INSERT INTO outbox (aggregate_id, event_type, payload) SELECT 'k', 'T', '{}' FROM generate_series(1, 100)"
        )
        await line.emptied()
        assert (relay.state() or {})["delivery"]["rowsTotal"] == 101
    finally:
        await asyncio.to_thread(relay.stop)
        await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
