"""Notifications to real receivers: a webhook that is slow, dead or answers 500, and the real Alertmanager."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.notify import Alertmanager, Webhook, open_session
from outboxrelay.controller.notifications import Notifications, Receiver
from outboxrelay.decisions.incidents.notices import Notice
from outboxrelay.errors import NotificationFault
from tests.support.receivers import alertmanager, receiver
from tests.support.tasks import owned
from tests.support.waiting import until
from tests.unit.test_incident_notices import notice

SECRET = "s3cr3t-of-the-receiver"


def current(name: str = "a", *, closed: bool = False) -> Notice:
    """An incident that began a moment ago."""
    found = notice(name, closed=closed)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=20)
    ended = start + timedelta(seconds=10) if closed else None
    detected = start + timedelta(seconds=5)
    incident = replace(found.incident, started_at=start, detected_at=detected, resolved_at=ended)
    return replace(found, incident=incident)


class Counts(dict[tuple[str, str], int]):
    """What was counted."""

    def note(self, kind: str, result: str, count: int) -> None:
        self[kind, result] = self.get((kind, result), 0) + count


@asynccontextmanager
async def telling(receivers: Sequence[Receiver]) -> AsyncIterator[tuple[Notifications, Counts]]:
    counts = Counts()
    found = Notifications(receivers, clock=SystemClock(), count=counts.note)
    async with owned(found.run()):
        yield found, counts


async def test_a_webhook_gets_each_change_once_as_a_cloud_event() -> None:
    async with (
        receiver() as hook,
        open_session() as session,
        telling([Webhook(session, hook.url, "ops/operator")]) as (told, counts),
    ):
        told.tell(current("a"))

        async def arrived() -> bool:
            return len(hook.taken) == 1

        await until(arrived, "event", 10, every=0.01)
        told.tell(current("a", closed=True))
        told.tell(current("b"))

        async def all_arrived() -> bool:
            return counts.get(("webhook", "sent")) == 3

        await until(all_arrived, "three events", 10, every=0.01)
    assert [body["id"] for _, body in hook.taken] == [
        "PoisonRows-a.1.opened",
        "PoisonRows-a.1.resolved",
        "PoisonRows-b.1.opened",
    ]
    headers, body = hook.taken[0]
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert body["specversion"] == "1.0"


async def test_a_receiver_that_answers_500_gets_the_event_when_it_is_well_again() -> None:
    async with receiver() as hook, open_session() as session:
        hook.status = 500
        async with telling([Webhook(session, hook.url, "ops/operator")]) as (told, counts):
            told.tell(current("a"))

            async def refused() -> bool:
                return counts.get(("webhook", "failed"), 0) >= 2

            await until(refused, "two attempts", 20, every=0.01)
            hook.status = 204

            async def arrived() -> bool:
                return bool(hook.taken)

            await until(arrived, "event", 20, every=0.01)
            assert hook.requests == counts["webhook", "failed"] + 1
    assert len(hook.taken) == 1


async def test_a_slow_or_dead_receiver_costs_three_seconds_of_its_own_and_nobody_elses(unused_tcp_port: int) -> None:
    async with receiver() as slow, receiver() as good, open_session() as session:
        slow.delay = 30
        dead = f"http://127.0.0.1:{unused_tcp_port}/hook"
        hooks = [Webhook(session, url, "ops/operator") for url in (slow.url, dead, good.url)]
        async with telling(hooks) as (told, counts):
            began = time.monotonic()
            for number in range(20):
                told.tell(current(str(number)))
            assert time.monotonic() - began < 1

            async def arrived() -> bool:
                return len(good.taken) == 20

            await until(arrived, "events at the good receiver", 10, every=0.01)
            assert slow.taken == []

            async def given_up() -> bool:
                return counts.get(("webhook", "failed"), 0) >= 2

            await until(given_up, "failures of the other two", 10, every=0.01)
        with pytest.raises(NotificationFault, match="did not answer within 3 s"):
            await hooks[0].send([current("a")])
        with pytest.raises(NotificationFault, match="cannot be reached: ClientConnectorError"):
            await hooks[1].send([current("a")])


@pytest.mark.parametrize(("status", "permanent"), [(302, False), (400, True), (404, True), (429, False), (503, False)])
async def test_an_answer_says_whether_trying_again_can_help_and_is_not_followed_elsewhere(
    status: int, permanent: bool
) -> None:
    async with receiver() as hook, open_session() as session:
        hook.status = status
        with pytest.raises(NotificationFault, match=f"answered HTTP status {status}") as fault:
            await Webhook(session, hook.url, "ops/operator").send([current("a")])
    assert fault.value.permanent is permanent
    assert hook.requests == 1


async def test_credentials_in_a_url_are_used_and_never_logged(unused_tcp_port: int) -> None:
    async with receiver() as hook, open_session() as session:
        address = hook.url.removeprefix("http://")
        await Webhook(session, f"http://user:{SECRET}@{address}?token={SECRET}", "ops/operator").send([current("a")])
        assert hook.taken[0][0]["authorization"].startswith("Basic ")
        with capture_logs() as logs:
            dead = Webhook(session, f"http://user:{SECRET}@127.0.0.1:{unused_tcp_port}/{SECRET}", "ops/operator")
            async with telling([dead]) as (told, counts):
                told.tell(current("a"))

                async def failed() -> bool:
                    return counts.get(("webhook", "failed"), 0) >= 1

                await until(failed, "failure", 10, every=0.01)
    assert logs
    assert SECRET not in str(logs)


async def test_alertmanager_holds_an_open_incident_as_one_alert_until_it_is_resolved(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with receiver("/told") as people, alertmanager(tmp_path, unused_tcp_port, people.url) as running:
        async with open_session() as session:
            client = Alertmanager(session, running.url + "/", SystemClock().now, repeat=0.3)
            async with telling([client]) as (told, counts):
                first = current("a")
                told.tell(first)
                told.tell(current("b"))

                async def repeated() -> bool:
                    return counts.get(("alertmanager", "sent"), 0) >= 10

                await until(repeated, "repetitions", 20, every=0.05)
                alerts = {item["labels"]["incident"]: item for item in await running.alerts()}
                assert set(alerts) == {"PoisonRows-a", "PoisonRows-b"}
                assert alerts["PoisonRows-a"]["labels"] == {
                    "alertname": "OutboxRelayPoisonRows",
                    "severity": "warning",
                    "type": "PoisonRows",
                    "incident": "PoisonRows-a",
                    "namespace": "shop",
                    "outboxrelay": "orders",
                }
                assert alerts["PoisonRows-a"]["annotations"]["runbook_url"] == "https://books.example/PoisonRows.md"
                assert datetime.fromisoformat(alerts["PoisonRows-a"]["startsAt"]) == first.incident.started_at

                ended = replace(first.incident, resolved_at=datetime.now(UTC).replace(microsecond=0))
                told.tell(replace(first, incident=ended))

                async def one_left() -> bool:
                    return [item["labels"]["incident"] for item in await running.alerts()] == ["PoisonRows-b"]

                await until(one_left, "end of the alert", 20, every=0.1)

                async def people_know() -> bool:
                    return any(body["status"] == "resolved" for _, body in people.taken)

                await until(people_know, "resolution at the people", 20, every=0.1)
        assert not counts.get(("alertmanager", "failed"))
        firing = [body for _, body in people.taken if body["status"] == "firing"]
        assert sorted(body["groupLabels"]["incident"] for body in firing) == ["PoisonRows-a", "PoisonRows-b"]


async def test_an_alert_that_nobody_repeats_ends_by_itself(tmp_path: Path, unused_tcp_port: int) -> None:
    async with (
        receiver("/told") as people,
        alertmanager(tmp_path, unused_tcp_port, people.url) as running,
        open_session() as session,
    ):
        # Five minutes after it was sent last: in two seconds from now.
        earlier = datetime.now(UTC) - timedelta(seconds=298)
        await Alertmanager(session, running.url, lambda: earlier).send([current("a")])

        async def held() -> bool:
            return len(await running.alerts()) == 1

        async def gone() -> bool:
            return await running.alerts() == []

        await until(held, "alert", 10, every=0.02)
        await until(gone, "end of it", 10, every=0.1)


async def test_an_alertmanager_that_restarts_learns_every_open_incident_again(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with receiver("/told") as people, open_session() as session:
        url = f"http://127.0.0.1:{unused_tcp_port}"
        async with telling([Alertmanager(session, url, SystemClock().now, repeat=0.3)]) as (told, counts):
            told.tell(current("a"))

            async def failed() -> bool:
                return counts.get(("alertmanager", "failed"), 0) >= 1

            await until(failed, "failure while it is away", 10, every=0.01)
            for round_number in range(2):
                folder = tmp_path / str(round_number)
                folder.mkdir()
                async with alertmanager(folder, unused_tcp_port, people.url) as running:

                    async def held(server: object = running) -> bool:
                        return len(await running.alerts()) == 1

                    await until(held, "alert", 40, every=0.1)
                await asyncio.sleep(0)
