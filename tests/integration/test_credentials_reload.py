"""Passwords and certificates that change under running relays, at the real servers, while the oracle watches."""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outboxrelay.adapters.credentials import DirectoryCredentials, MappingCredentials
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.kafka_renewal import KafkaRenewal
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_renewal import PostgresRenewal
from outboxrelay.adapters.postgres_source import PostgresSettler, PostgresSource
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.api.source import Database
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Delivered
from outboxrelay.decisions.sharding import MEMBER_BASE
from outboxrelay.errors import Fault, SourceFault
from tests.support.fake_credentials import FakeCredentials
from tests.support.fake_source import row
from tests.support.oracle import Oracle
from tests.support.relay_line import RelayLine, judged, relay_line
from tests.support.relay_process import RelayProcess
from tests.support.rotation import ScramUser, client_certificate, connections, logged, replace_file, serial_of

pytestmark = pytest.mark.needs_services

FAILURES = ("session_lost", "source_failed", "circuit_open", "delivery_given_up")
"""Actions of a relay that lost something."""
SECRETS = ("first-secret", "second-secret", "wrong-secret")
FIRST, SECOND, WRONG = SECRETS
SASL_PORT = 9095


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


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


@pytest.mark.parametrize("mode", ["PerKey", "None"])
async def test_a_rotated_database_password_is_taken_over_and_the_old_sessions_are_not_missed(
    line: RelayLine, mode: str
) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        await oracle.writer.create_table()
        async with role(line) as login:
            relays = [line.start(uri=login.uri(FIRST), ordering={"mode": mode}) for _ in range(2)]
            await shared(*relays, each=16 if mode == "None" else 8)
            owned = [(relay.state() or {})["shards"]["owned"] for relay in relays]
            async with oracle.writer.writing(per_second=300, late_share=0.2, rollback_share=0.1, hold=0.05):
                await flows(oracle)
                # A connection that is made between the two steps of a rotation cannot but fail: let all be made before.
                async with asyncio.timeout(30):
                    while await login.sessions("settle") < len(relays):
                        await asyncio.sleep(0.05)
                rotated_at = await line.database.fetchval("SELECT clock_timestamp()")
                await login.set_password(SECOND)
                change(line, "source", "uri", login.uri(SECOND))
                for relay in relays:
                    await switched(relay, "source")
                await flows(oracle)
                assert await login.sessions(before=rotated_at) == 0
                await login.end_sessions(before=rotated_at)
                await flows(oracle)
            result = await judged(oracle, line)
            nothing_was_lost(*relays)
            assert owned == [(relay.state() or {})["shards"]["owned"] for relay in relays]
    print(result)
    assert result.passed or (mode == "None" and not result.lost), result.report()
    assert result.duplicates == 0


async def test_data_sessions_that_end_right_after_the_rotation_come_back_with_the_new_password(
    line: RelayLine,
) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        await oracle.writer.create_table()
        async with role(line) as login:
            relay = line.start(uri=login.uri(FIRST))
            await asyncio.to_thread(relay.wait_ready)
            async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
                await flows(oracle)
                await login.set_password(SECOND)
                change(line, "source", "uri", login.uri(SECOND))
                for kind in ("read", "settle"):
                    await login.end_sessions(kind)
                await switched(relay, "source")
                await flows(oracle)
            result = await judged(oracle, line)
            assert len(logged(relay, "member_joined")) == 1, "the shards were kept"
            says_no_secret(relay)
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def test_all_sessions_may_end_before_the_new_password_was_noticed(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        await oracle.writer.create_table()
        async with role(line) as login:
            relay = line.start(uri=login.uri(FIRST))
            await asyncio.to_thread(relay.wait_ready)
            async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
                await flows(oracle)
                await login.set_password(SECOND)
                change(line, "source", "uri", login.uri(SECOND))
                await login.end_sessions()
                await flows(oracle)
            result = await judged(oracle, line)
            assert [item for item in logged(relay, "session_lost") if item["reason"] == "AuthenticationFailed"] == []
            says_no_secret(relay)
    print(result)
    assert result.passed, result.report()


async def test_a_changed_kafka_password_replaces_the_producer_and_nothing_of_the_database(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        user = await scram_user()
        await oracle.writer.create_table()
        async with role(line) as login:
            relays = [line.start(uri=login.uri(FIRST), target=scram_target(line, user)) for _ in range(2)]
            await shared(*relays)
            async with oracle.writer.writing(per_second=300, late_share=0.2, rollback_share=0.1, hold=0.05):
                await flows(oracle, 300)
                before = [connections(relay, SASL_PORT) for relay in relays]
                assert all(before)
                rotated_at = await line.database.fetchval("SELECT clock_timestamp()")
                await user.set_password(SECOND)
                change(line, "kafka", "password", SECOND)
                for relay in relays:
                    await switched(relay, "target")
                await flows(oracle, 300)
                async with asyncio.timeout(20):
                    while any(connections(relay, SASL_PORT) & old for relay, old in zip(relays, before, strict=True)):
                        await asyncio.sleep(0.1)
                assert all(connections(relay, SASL_PORT) for relay in relays)
                assert await login.sessions(before=rotated_at) == await login.sessions() > 0
            result = await judged(oracle, line)
            nothing_was_lost(*relays)
            assert [logged(relay, "credentials_refused") for relay in relays] == [[], []]
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def test_a_wrong_database_password_is_told_and_what_works_is_kept_even_through_a_reconnect(
    line: RelayLine,
) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        user = await scram_user()
        await oracle.writer.create_table()
        async with role(line) as login:
            relay = line.start(uri=login.uri(FIRST), target=scram_target(line, user))
            await asyncio.to_thread(relay.wait_ready)
            async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
                await flows(oracle, 300)
                kafka = connections(relay, SASL_PORT)
                change(line, "source", "uri", login.uri(SECOND))
                notice = await told(relay, "spec.source.database")
                assert "password authentication failed" in notice
                await flows(oracle)
                assert connections(relay, SASL_PORT) == kafka
                nothing_was_lost(relay)
                await login.end_sessions("read")
                await flows(oracle)
                assert (relay.state() or {})["notices"] == [notice]
                # The database follows later: found without another change of the file.
                await login.set_password(SECOND)
                await switched(relay, "source")
                assert (relay.state() or {})["notices"] == []
                await flows(oracle)
            result = await judged(oracle, line)
            says_no_secret(relay)
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def test_a_wrong_kafka_password_is_told_and_delivery_goes_on_until_it_is_mended(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        user = await scram_user()
        await oracle.writer.create_table()
        relay = line.start(target=scram_target(line, user))
        await asyncio.to_thread(relay.wait_ready)
        async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
            await flows(oracle)
            change(line, "kafka", "password", WRONG)
            assert "authentication" in (await told(relay, "spec.target")).lower()
            await flows(oracle)
            await user.set_password(SECOND)
            change(line, "kafka", "password", SECOND)
            await switched(relay, "target")
            assert (relay.state() or {})["notices"] == []
            await flows(oracle)
        result = await judged(oracle, line)
        nothing_was_lost(relay)
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def test_a_renewed_client_certificate_is_used_for_both_sides_and_half_a_pair_is_not(line: RelayLine) -> None:
    authority = Path(os.environ["OUTBOXRELAY_CA_FILE"])
    old, new = line.folder / "old", line.folder / "new"
    first, second = (client_certificate(folder, authority, "cert_only") for folder in (old, new))
    for key, text in (("tls.crt", first[0]), ("tls.key", first[1]), ("ca", authority.read_text())):
        change(line, "proof", key, text)
    name = line.uri.rsplit("/", 1)[1].split("?")[0]
    uri = f"postgresql://cert_only@postgres.rig.test:5432/{name}?sslmode=verify-full"
    proof = {"clientCertificateSecretRef": {"name": "proof"}, "caSecretRef": {"name": "proof", "key": "ca"}}
    brokers = os.environ["OUTBOXRELAY_KAFKA_MTLS_SERVERS"].split(",")
    async with oracle_of(line) as oracle, asyncio.timeout(200):
        await oracle.writer.create_table()
        if not await line.database.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'cert_only'"):
            await line.database.execute("CREATE ROLE cert_only LOGIN")
        await line.database.execute("GRANT SELECT, DELETE ON outbox TO cert_only")
        target = {"bootstrapServers": brokers, "protocol": "SSL", **proof}
        relay = line.start(uri=uri, source={"database": proof}, target=target)
        await asyncio.to_thread(relay.wait_ready)
        async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
            await flows(oracle)
            assert await serials(line) == {serial_of(old)}
            change(line, "proof", "tls.crt", second[0])
            notices = {await told(relay, "spec.source.database"), await told(relay, "spec.target")}
            assert len(notices) == 2
            await flows(oracle)
            change(line, "proof", "tls.key", second[1])
            for side in ("source", "target"):
                await switched(relay, side)
            assert (relay.state() or {})["notices"] == []
            await flows(oracle)
            assert await serials(line) == {serial_of(new)}
        result = await judged(oracle, line)
        nothing_was_lost(relay)
        assert "PRIVATE KEY" not in relay.log.read_text()
        await asyncio.to_thread(relay.stop)
        await line.database.execute("DROP OWNED BY cert_only")
    print(result)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def serials(line: RelayLine) -> set[int]:
    """Serial numbers of the certificates by which relays are logged in now."""
    found = await line.database.fetch(
        "SELECT client_serial FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'cert_only'"
    )
    return {int(item["client_serial"]) for item in found}


async def test_a_secret_that_names_another_database_moves_no_running_relay(line: RelayLine) -> None:
    await line.database.execute(Path("examples/outbox.sql").read_text())
    relay = line.start()
    await asyncio.to_thread(relay.wait_ready)
    async with relay_line(line.folder / "elsewhere") as other:
        await other.database.execute(Path("examples/outbox.sql").read_text())
        await other.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")
        change(line, "source", "uri", other.uri)
        assert "restart it" in await told(relay, "another server or database")
        await line.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")
        await line.emptied()
        assert await other.pending() == 1


# What every Renewal promises, the fake included.


@dataclass
class SideUnderTest:
    """One implementation, and what a test may do to it."""

    renewal: Any
    connect: Callable[[], Awaitable[None]]
    hold: Callable[[bool], None]
    """Make the files hold values that work (other ones each time), or do not."""
    use: Callable[[], Awaitable[None]]
    """Raises unless what is in use works."""


@asynccontextmanager
async def fake_side() -> AsyncIterator[SideUnderTest]:
    fake = FakeCredentials()
    fake.using, fake.bad["wrong"] = None, SourceFault(Reason.AUTHENTICATION_FAILED, "wrong")

    async def connect() -> None:
        fake.using = fake.files

    async def use() -> None:
        assert fake.using not in fake.bad

    def hold(good: bool) -> None:
        fake.files = f"right {uuid.uuid4().hex}" if good else "wrong"

    yield SideUnderTest(fake, connect, hold, use)


@asynccontextmanager
async def postgres_side(folder: Path) -> AsyncIterator[SideUnderTest]:
    async with relay_line(folder) as line:
        await line.database.execute(Path("examples/outbox.sql").read_text())
        manifest = parse_manifest(line.manifest())
        database = manifest.spec.source.database
        # The same login written in different ways.
        good = alternately(line.uri, line.uri + "&application_name=other")
        change(line, "source", "uri", next(good))
        credentials = RenewableCredentials(DirectoryCredentials(folder / "credentials"), database.secret_references)
        control = PostgresControl(database, manifest.identity.uid, credentials, "contract")
        source = PostgresSource(manifest, credentials)
        settler = PostgresSettler(manifest, credentials, source)
        renewal = PostgresRenewal(credentials, control, source.lane, settler.lane)

        async def connect() -> None:
            await source.open()
            await control.open()
            await control.try_lock([MEMBER_BASE, 1])
            await control.observe()

        async def use() -> None:
            await source.open()
            await settler.settle([1])
            assert (await control.observe()).members == (0,)

        def hold(works: bool) -> None:
            change(line, "source", "uri", next(good) if works else line.uri.replace("outbox:outbox@", "outbox:wrong@"))

        yield SideUnderTest(renewal, connect, hold, use)
        await renewal.close()
        for part in (source, settler, control):
            await part.close()


@asynccontextmanager
async def kafka_side(folder: Path) -> AsyncIterator[SideUnderTest]:
    async with relay_line(folder) as line:
        user, other = await scram_user(), await scram_user(1)
        manifest = parse_manifest(line.manifest(target=scram_target(line, user)))
        spec = manifest.spec
        credentials = RenewableCredentials(DirectoryCredentials(folder / "credentials"), spec.target.secret_references)
        publisher = KafkaPublisher(spec, Mapper(spec), credentials)
        renewal = KafkaRenewal(spec.target, credentials, publisher)
        users = alternately(other.name, user.name)

        async def use() -> None:
            assert await publisher.publish([row(1)]) == Delivered()

        def hold(works: bool) -> None:
            if works:
                change(line, "kafka", "username", next(users))
                change(line, "kafka", "password", FIRST)
            else:
                change(line, "kafka", "password", WRONG)

        yield SideUnderTest(renewal, publisher.open, hold, use)
        await renewal.close()
        await publisher.close()


def alternately(*values: str) -> Iterator[str]:
    while True:
        yield from values


@pytest.fixture(params=["fake", "PostgreSQL", "Kafka"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SideUnderTest]:
    makers: dict[str, Callable[[], Any]] = {
        "fake": fake_side,
        "PostgreSQL": partial(postgres_side, tmp_path),
        "Kafka": partial(kafka_side, tmp_path),
    }
    async with makers[request.param]() as found:
        yield found


async def test_nothing_is_in_use_before_something_worked(side: SideUnderTest) -> None:
    assert side.renewal.in_use() is None
    await side.connect()
    assert side.renewal.in_use() == side.renewal.on_file()
    await side.use()


async def test_what_does_not_work_is_refused_and_what_is_in_use_stays(side: SideUnderTest) -> None:
    await side.connect()
    before = side.renewal.in_use()
    side.hold(False)
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            await side.renewal.prepare()
        assert caught.value.reason == Reason.AUTHENTICATION_FAILED
    assert side.renewal.in_use() == before != side.renewal.on_file()
    await side.use()


async def test_what_works_takes_over_when_it_is_told_to_and_not_before(side: SideUnderTest) -> None:
    await side.connect()
    for _ in range(3):
        before = side.renewal.in_use()
        side.hold(True)
        assert await side.renewal.prepare() == side.renewal.on_file() != before
        assert side.renewal.in_use() == before
        await side.use()
        await side.renewal.switch()
        assert side.renewal.in_use() == side.renewal.on_file()
        await side.use()


async def test_what_was_dropped_does_not_take_over(side: SideUnderTest) -> None:
    await side.connect()
    before = side.renewal.in_use()
    side.hold(True)
    await side.renewal.prepare()
    await side.renewal.drop()
    with pytest.raises(Fault):
        await side.renewal.switch()
    assert side.renewal.in_use() == before
    await side.use()


# The session with the locks.


@contextmanager
def changing(uri: str) -> Iterator[tuple[dict[str, str], Any]]:
    """Files in memory."""
    held = {"uri": uri}

    class Files:
        def read(self, reference: Any) -> str:
            return held[reference.key]

    yield held, Files()


DATABASE = Database.model_validate({"uriSecretRef": {"name": "db", "key": "uri"}})


async def test_no_lock_is_free_for_a_moment_while_the_session_changes(line: RelayLine) -> None:
    uid, slots = uuid.uuid4().hex, [MEMBER_BASE, *range(64)]
    thief = PostgresControl(DATABASE, uid, MappingCredentials({("db", "uri"): line.uri}), "thief")
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uid, credentials, "owner")
        await session.open()
        await thief.open()
        assert await session.try_lock(slots) == set(slots)
        await session.observe()
        heard, over = asyncio.Event(), asyncio.Event()
        stolen: set[int] = set()
        await session.listen("bell", heard.set)

        async def steal() -> int:
            tries = 0
            while not over.is_set():
                stolen.update(await thief.try_lock(slots))
                tries += 1
            return tries

        stealing = asyncio.create_task(steal())
        for _ in range(5):
            await session.prepare(credentials.on_file())
            await session.hand_over()
            seen = await session.observe()
            assert (seen.members, set(seen.owners)) == ((0,), set(range(64)))
        assert session.sessions == 6
        over.set()
        tries = await stealing
        print(f"{tries} attempts to steal")
        assert tries > 10
        assert stolen == set()
        await line.database.execute("NOTIFY bell")
        await asyncio.wait_for(heard.wait(), 5)
        [limit] = await session.fetch("SELECT current_setting('idle_session_timeout') AS seconds")
        assert limit["seconds"] == "15s"
        alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'owner'"
        async with asyncio.timeout(5):
            while await line.database.fetchval(alive) != 1:
                await asyncio.sleep(0.05)
        await session.close()
        assert await thief.try_lock(slots) == set(slots)
        await thief.close()


async def test_a_session_whose_heir_has_died_goes_on(line: RelayLine) -> None:
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uuid.uuid4().hex, credentials, "owner")
        await session.open()
        await session.try_lock([MEMBER_BASE, 1, 2])
        await session.observe()
        await session.prepare(credentials.on_file())
        own = await session.fetch("SELECT pg_backend_pid() AS pid")
        await line.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'owner' AND pid <> $1",
            own[0]["pid"],
        )
        with pytest.raises(SourceFault):
            await session.hand_over()
        assert not session.is_prepared
        assert set((await session.observe()).owners) == {1, 2}
        await session.close()


async def test_a_handover_that_breaks_half_way_loses_the_session_and_frees_every_lock(line: RelayLine) -> None:
    uid = uuid.uuid4().hex
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uid, credentials, "owner")
        other = PostgresControl(DATABASE, uid, MappingCredentials({("db", "uri"): line.uri}), "other")
        await session.open()
        await session.try_lock([MEMBER_BASE, *range(16)])
        await session.observe()
        await session.prepare(credentials.on_file())
        # A lock that the session believes to have and another one holds: the heir would wait for it.
        await session.fetch("SELECT pg_advisory_unlock($1::bigint + 15)", session._base)
        await other.open()
        assert await other.try_lock([15]) == {15}
        with pytest.raises(SourceFault):
            await session.hand_over()
        with pytest.raises(SourceFault):
            await session.observe()
        async with asyncio.timeout(10):
            while (await other.observe()).members:
                await asyncio.sleep(0.1)
        assert await other.try_lock(range(16)) == set(range(15))
        for item in (session, other):
            await item.close()
