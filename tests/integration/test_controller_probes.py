"""The controller's own looks at the real PostgreSQL and Kafka: what is well, and each fault by its reason."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from outboxrelay.adapters.broker_probe import BrokerProbe
from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.database_probe import DatabaseProbe
from outboxrelay.api.names import Reason
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.controller.lateness import Lateness
from outboxrelay.decisions.facts import Exclusions
from outboxrelay.errors import NotAsked, SourceFault, TargetFault
from tests.support.relay_bodies import manifest
from tests.support.rig import Rig
from tests.support.waiting import until

pytestmark = pytest.mark.needs_services

TABLE = """CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id uuid DEFAULT gen_random_uuid(), aggregate_id text, event_type text, payload jsonb,
  created_at timestamptz DEFAULT now())"""
SECONDS = 3.0


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """A database with an outbox table; its URI."""
    rig, name = Rig.from_environment(), f"probe_{uuid.uuid4().hex[:8]}"
    admin: Any = await asyncpg.connect(rig.postgres)
    await admin.execute(f"CREATE DATABASE {name}")
    session: Any = await asyncpg.connect(rig.database(name))
    await session.execute(TABLE)
    await session.close()
    yield rig.database(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def probe() -> AsyncIterator[DatabaseProbe]:
    """Closed at the end."""
    made = DatabaseProbe(Lateness(SystemClock(), float))
    yield made
    await made.close()


async def run(uri: str, *statements: str) -> None:
    session: Any = await asyncpg.connect(uri)
    for statement in statements:
        await session.execute(statement)
    await session.close()


def secrets(uri: str) -> dict[tuple[str, str], str]:
    return {("orders-db", "uri"): uri}


def spec(**changes: Any) -> OutboxRelaySpec:
    return manifest(**changes).spec


async def test_waiting_rows_are_counted_without_those_that_are_held(database: str, probe: DatabaseProbe) -> None:
    rows = "INSERT INTO outbox (aggregate_id, payload, created_at)"
    await run(
        database,
        f"{rows} SELECT 'k' || n, '1', now() - interval '60 seconds' FROM generate_series(1, 5) n",
        f"{rows} VALUES (NULL, '1', now() - interval '5 seconds'), (NULL, '1', now())",
    )
    found = await probe.count(spec(), secrets(database), Exclusions(), SECONDS)
    assert (found.rows, found.exact) == (7, True)
    assert found.oldest_age is not None
    assert found.oldest_age >= 60
    held = Exclusions(keys=("k1", "k2", "k3", "k4", "k5"), rows=(6,))
    rest = await probe.count(spec(), secrets(database), held, SECONDS)
    assert rest.rows == 1
    assert rest.oldest_age is not None
    assert rest.oldest_age < 60


async def test_counting_stops_at_its_bound(database: str, probe: DatabaseProbe) -> None:
    await run(database, "INSERT INTO outbox (payload) SELECT '1' FROM generate_series(1, 100001)")
    found = await probe.count(spec(), secrets(database), Exclusions(), SECONDS)
    assert (found.rows, found.exact) == (100_000, False)


async def test_marked_rows_do_not_wait(database: str, probe: DatabaseProbe) -> None:
    await run(
        database,
        "ALTER TABLE outbox ADD delivered_at timestamptz",
        "INSERT INTO outbox (payload, delivered_at) VALUES ('1', now()), ('1', NULL)",
    )
    marking = spec(source={"table": {"afterDelivery": "Mark"}})
    assert (await probe.count(marking, secrets(database), Exclusions(), SECONDS)).rows == 1


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"table": {"name": "missing"}}, Reason.TABLE_NOT_FOUND, "public.missing not found"),
        ({"table": {"columns": {"payload": "body"}}}, Reason.SCHEMA_MISMATCH, "spec.source.table.columns.payload"),
    ],
)
async def test_a_table_that_does_not_fit_is_named(
    database: str, probe: DatabaseProbe, changes: dict[str, Any], reason: Reason, said: str
) -> None:
    with pytest.raises(SourceFault, match=said) as raised:
        await probe.count(spec(source=changes), secrets(database), Exclusions(), SECONDS)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE outbox", Reason.TABLE_NOT_FOUND),
        ("ALTER TABLE outbox RENAME COLUMN created_at TO made_at", Reason.SCHEMA_MISMATCH),
        ("ALTER DATABASE {name} SET default_transaction_read_only = on", Reason.READ_ONLY),
    ],
)
async def test_what_happens_to_a_table_that_was_well_is_seen_at_the_next_look(
    database: str, probe: DatabaseProbe, statement: str, reason: Reason
) -> None:
    for _ in range(2):
        assert (await probe.count(spec(), secrets(database), Exclusions(), SECONDS)).rows == 0
    await run(database, statement.format(name=database.split("?")[0].rpartition("/")[2]))
    if reason is Reason.READ_ONLY:
        # A setting of the database holds for new sessions.
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outboxrelay controller'"
        await run(Rig.from_environment().postgres, f"{end} AND datname = '{database.split('?')[0].rpartition('/')[2]}'")
    with pytest.raises(SourceFault) as raised:
        await probe.count(spec(), secrets(database), Exclusions(), SECONDS)
    assert raised.value.reason == reason
    assert isinstance(await probe_again(probe, database), SourceFault)


async def probe_again(probe: DatabaseProbe, database: str) -> object:
    """What comes of one more look."""
    try:
        return await probe.count(spec(), secrets(database), Exclusions(), SECONDS)
    except SourceFault as fault:
        return fault


async def test_a_wrong_password_names_the_role_the_server_and_the_secret_but_no_password(
    database: str, probe: DatabaseProbe
) -> None:
    user, server = database.split("//")[1].split(":")[0], database.split("@")[1].split("/")[0]
    wrong = database.replace(f"//{user}:", f"//{user}:wrong-")
    with pytest.raises(SourceFault) as raised:
        await probe.count(spec(), secrets(wrong), Exclusions(), SECONDS)
    assert raised.value.reason == Reason.AUTHENTICATION_FAILED
    assert f"role {user} cannot log in to {server}" in raised.value.message
    assert "check Secret orders-db, key uri" in raised.value.message
    assert "wrong-" not in raised.value.message


async def test_a_database_that_is_not_there_is_a_failed_connection_and_then_heals(
    database: str, probe: DatabaseProbe
) -> None:
    server = database.split("@")[1].split("/")[0]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = database.replace(server, f"127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(SourceFault) as raised:
            await probe.count(spec(), secrets(away), Exclusions(), SECONDS)
    assert raised.value.reason == Reason.CONNECT_FAILED
    assert (await probe.count(spec(), secrets(database), Exclusions(), SECONDS)).rows == 0


async def test_a_connection_that_the_server_ends_is_replaced(database: str, probe: DatabaseProbe) -> None:
    assert (await probe.count(spec(), secrets(database), Exclusions(), SECONDS)).rows == 0
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outboxrelay controller'"
    )
    await run(database, f"{terminate} AND datname = current_database()")
    assert (await probe.count(spec(), secrets(database), Exclusions(), SECONDS)).rows == 0


async def test_relays_of_one_database_share_one_connection(database: str, probe: DatabaseProbe) -> None:
    for _ in range(5):
        await probe.count(spec(), secrets(database), Exclusions(), SECONDS)
    session: Any = await asyncpg.connect(database)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
    assert await session.fetchval(query, "outboxrelay controller") == 1
    await session.close()


async def test_a_topic_is_found_or_named_and_never_created() -> None:
    servers, topic = os.environ["OUTBOXRELAY_KAFKA_SERVERS"], f"probe-{uuid.uuid4().hex[:8]}"
    wanted = spec(target={"bootstrapServers": servers.split(","), "topic": topic})
    admin, brokers = AdminClient({"bootstrap.servers": servers}), BrokerProbe(Lateness(SystemClock(), float))
    try:
        for _ in range(2):
            with pytest.raises(TargetFault, match=f"topic {topic} not found") as raised:
                await brokers.check(wanted, {}, SECONDS)
            assert raised.value.reason == Reason.TOPIC_NOT_FOUND
        assert topic not in admin.list_topics(timeout=10).topics
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)

        async def found() -> bool:
            try:
                await brokers.check(wanted, {}, SECONDS)
            except TargetFault:
                return False
            return True

        await until(found, "topic that was created", 30)
    finally:
        await brokers.close()
        admin.delete_topics([topic])[topic].result(10)


async def test_brokers_that_are_away_are_named_within_the_probes_time() -> None:
    brokers = BrokerProbe(Lateness(SystemClock(), float))
    away = spec(target={"bootstrapServers": ["127.0.0.1:9"], "topic": "x"})
    with pytest.raises(TargetFault, match=r"Kafka at 127\.0\.0\.1:9: ") as raised:
        await brokers.check(away, {}, 1.0)
    assert raised.value.reason == Reason.BROKER_UNAVAILABLE
    await brokers.close()


async def test_a_wrong_sasl_password_is_an_authentication_failure_that_names_the_secret() -> None:
    servers = os.environ["OUTBOXRELAY_KAFKA_SASL_PLAINTEXT_SERVERS"]
    brokers = BrokerProbe(Lateness(SystemClock(), float))
    wanted = spec(
        target={
            "bootstrapServers": servers.split(","),
            "topic": "x",
            "protocol": "SASL_PLAINTEXT",
            "saslMechanism": "SCRAM-SHA-256",
            "credentialsSecretRef": {"name": "kafka"},
        }
    )
    login = {("kafka", "username"): "relay", ("kafka", "password"): "wrong-password"}
    with pytest.raises(TargetFault, match="check Secret kafka") as raised:
        await brokers.check(wanted, login, SECONDS)
    assert raised.value.reason == Reason.AUTHENTICATION_FAILED
    assert "wrong-password" not in raised.value.message
    await brokers.close()


async def test_a_critical_relay_does_not_wait_behind_the_others_of_its_database(
    database: str, probe: DatabaseProbe
) -> None:
    await run(
        database, "CREATE TABLE vital (LIKE outbox INCLUDING ALL)", "CREATE TABLE plain (LIKE outbox INCLUDING ALL)"
    )
    holder: Any = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN; LOCK TABLE outbox")
        stuck = asyncio.create_task(probe.count(spec(), secrets(database), Exclusions(), SECONDS))
        await asyncio.sleep(0.5)
        vital = spec(isolation={"tier": "Critical"}, source={"table": {"name": "vital"}})
        assert (await probe.count(vital, secrets(database), Exclusions(), 1.0)).rows == 0
        with pytest.raises(NotAsked):
            await probe.count(spec(source={"table": {"name": "plain"}}), secrets(database), Exclusions(), 0.5)
        with pytest.raises(SourceFault):
            await stuck
    finally:
        await holder.close()


async def test_a_table_that_is_locked_is_named_and_costs_the_others_of_its_database_nothing_but_their_turn(
    database: str, probe: DatabaseProbe
) -> None:
    await run(database, "CREATE TABLE plain (LIKE outbox INCLUDING ALL)")
    holder: Any = await asyncpg.connect(database)
    try:
        await holder.execute("BEGIN; LOCK TABLE outbox")
        stuck = asyncio.create_task(probe.count(spec(), secrets(database), Exclusions(), 1.5))
        await asyncio.sleep(0.2)
        # Its turn comes when the table that is locked has had its time.
        waits = spec(source={"table": {"name": "plain"}})
        behind = asyncio.create_task(probe.count(waits, secrets(database), Exclusions(), 1.0))
        with pytest.raises(SourceFault, match="the table cannot be counted within") as raised:
            await stuck
        assert raised.value.reason == Reason.TIMEOUT
        assert (await behind).rows == 0
    finally:
        await holder.close()


async def test_silence_counts_against_a_database_unless_the_operator_was_late_itself(
    database: str, probe: DatabaseProbe
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = database.replace(database.split("@")[1].split("/")[0], f"127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(SourceFault, match="no answer within") as raised:
            await probe.count(spec(), secrets(silent), Exclusions(), 1.0)
        assert raised.value.reason == Reason.TIMEOUT
        late = DatabaseProbe(Away())
        # Nothing of it is remembered either.
        for _ in range(2):
            with pytest.raises(NotAsked):
                await late.count(spec(), secrets(silent), Exclusions(), 1.0)
        await late.close()


async def test_silence_while_the_operator_was_late_itself_is_not_held_against_brokers() -> None:
    brokers = BrokerProbe(Away())
    with pytest.raises(NotAsked):
        await brokers.check(spec(target={"bootstrapServers": ["127.0.0.1:9"], "topic": "x"}), {}, 0.5)
    await brokers.close()


class Away:
    """An operator that is late to everything."""

    def since(self) -> Callable[[], bool]:
        return lambda: True
