"""The inbox's worker in a service that is written with Django, on the real PostgreSQL and Kafka."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outboxrelay import inbox
from outboxrelay.adapters.postgres_statements import sql
from tests.support.inbox_stand import Stand, send
from tests.support.producer_sessions import django_connection
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=2) as found:
        await found.database.execute(sql("schema/inbox"))
        await found.database.execute("CREATE TABLE shipments (id bigserial PRIMARY KEY, number integer NOT NULL)")
        await asyncio.to_thread(connect, found.uri)
        yield found


def connect(uri: str) -> None:
    """Django's database, with sessions that are kept."""
    django_connection(uri).settings_dict["CONN_MAX_AGE"] = None


def close() -> None:
    """The sessions of this thread."""
    from django.db import connections

    connections.close_all()


def shipment() -> Any:
    """A model of the service."""
    from django.apps import apps
    from django.db import models

    if "shipping" in apps.all_models and "shipment" in apps.all_models["shipping"]:
        return apps.all_models["shipping"]["shipment"]

    class Shipment(models.Model):  # type: ignore[misc]  # django is not typed
        number = models.IntegerField()

        class Meta:
            app_label = "shipping"
            db_table = "shipments"

    return Shipment


async def shipped(line: RelayLine) -> list[int]:
    return [row["number"] for row in await line.database.fetch("SELECT number FROM shipments ORDER BY id")]


async def test_models_are_saved_once_for_each_event_in_its_order_and_a_failure_leaves_nothing(line: RelayLine) -> None:
    send(line, 0, 1, 2, 3)
    send(line, 0, 2, 3, 4)
    model = shipment()
    done: list[int] = []
    failed: list[int] = []

    def handle(_: Any, event: inbox.Event) -> None:
        number = event.json()["number"]
        model.objects.create(number=number)
        if number == 3 and not failed:
            failed.append(number)
            raise ValueError("not now")
        done.append(number)

    stand = Stand(line, handle, inbox.begin_django, at_end=close, retry=inbox.Retry(attempts=3, first_seconds=0.05))
    await stand.until(lambda: len(done) >= 4)
    assert failed == [3]
    assert await shipped(line) == [1, 2, 3, 4]
    assert stand.told == []


async def test_a_session_that_was_ended_is_replaced(line: RelayLine) -> None:
    send(line, 0, 1, 2, 3)
    model = shipment()
    ended: list[int] = []
    done: list[int] = []
    pids: set[int] = set()

    def handle(conn: Any, event: inbox.Event) -> None:
        number = event.json()["number"]
        model.objects.create(number=number)
        pids.add(conn.connection.info.backend_pid)
        if number == 2 and not ended:
            ended.append(number)
            # As an administrator does it, in the middle of the transaction.
            with conn.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        done.append(number)

    stand = Stand(line, handle, inbox.begin_django, at_end=close, retry=inbox.Retry(attempts=5, first_seconds=0.05))
    await stand.until(lambda: 3 in done)
    assert ended == [2]
    assert len(pids) == 2
    assert await shipped(line) == [1, 2, 3]


async def test_an_event_is_not_accepted_outside_a_transaction(line: RelayLine) -> None:
    send(line, 0, 1)
    from django.db import connection

    from outboxrelay.outbox import NotInTransaction

    class Open:
        """A session without a transaction."""

        def __enter__(self) -> Any:
            return connection

        def __exit__(self, *_: object) -> None:
            connection.close()

    stand = Stand(line, lambda *_: None, Open, at_end=close)
    with pytest.raises(NotInTransaction, match=r"transaction\.atomic"):
        await asyncio.to_thread(stand.run)
