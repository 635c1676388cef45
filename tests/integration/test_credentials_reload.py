"""Passwords and certificates that change under running relays, at the real servers, while the oracle watches."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.credential_changes import (
    FIRST,
    SASL_PORT,
    SECOND,
    WRONG,
    change,
    flows,
    nothing_was_lost,
    oracle_of,
    role,
    says_no_secret,
    scram_target,
    scram_user,
    shared,
    switched,
    told,
)
from tests.support.relay_line import RelayLine, judged, relay_line
from tests.support.rotation import client_certificate, connections, logged, serial_of

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


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
