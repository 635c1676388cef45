"""Trying other credentials beside those in use: the contract, on a fake, on PostgreSQL and on Kafka."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outboxrelay.adapters.credentials import DirectoryCredentials
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.kafka_renewal import KafkaRenewal
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_renewal import PostgresRenewal
from outboxrelay.adapters.postgres_source import PostgresSettler, PostgresSource
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Delivered
from outboxrelay.decisions.sharding import MEMBER_BASE
from outboxrelay.errors import Fault, SourceFault
from tests.support.credential_changes import FIRST, WRONG, change, scram_target, scram_user
from tests.support.fake_credentials import FakeCredentials
from tests.support.fake_source import row
from tests.support.relay_line import relay_line

pytestmark = pytest.mark.needs_services


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
