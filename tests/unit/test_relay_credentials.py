"""Credentials that change while a relay runs, on fakes and in virtual time."""

import asyncio

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.decisions.renewal import LOOK_SECONDS
from outboxrelay.decisions.rows import ROW_ID
from outboxrelay.errors import SourceFault, TargetFault
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import row

pytestmark = pytest.mark.looptime

SIDES = ["source", "target"]
WRONG = SourceFault(Reason.AUTHENTICATION_FAILED, 'PostgreSQL: password authentication failed for user "shop"')
DOWN = TargetFault(Reason.BROKER_UNAVAILABLE, "1/1 brokers are down")


def other(side: str) -> str:
    return "target" if side == "source" else "source"


def reloads(relay: FakeRelay, side: str, outcome: str) -> float:
    text = relay.process.scrape().exposition().decode()
    name = f'outboxrelay_credential_reloads_total{{outcome="{outcome}",side="{side}"}}'
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("side", SIDES)
async def test_what_the_files_hold_is_tried_and_used_within_seconds_and_the_other_side_is_left_alone(side: str) -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.logins[side].files = "second"
        await relay.until(lambda: relay.logins[side].using == "second", seconds=3 * LOOK_SECONDS)
        assert [values for _, values in relay.logins[side].tried] == ["second"]
        assert relay.logins[other(side)].tried == []
        assert (reloads(relay, side, "Switched"), reloads(relay, side, "Refused")) == (1, 0)
        assert relay.report.notices == []
        await asyncio.sleep(600)
        assert len(relay.logins[side].tried) == 1


@pytest.mark.parametrize("side", SIDES)
async def test_the_change_happens_when_all_that_was_sent_is_confirmed_and_settled(side: str) -> None:
    relay = FakeRelay(batch=10)
    sent: list[bool] = []

    def at_rest() -> None:
        published = {row_id for batch in relay.publisher.batches for row_id in batch}
        sent.append(published == {item[ROW_ID] for item in relay.publisher.arrived} == set(relay.source.settled))

    relay.logins[side].on_switch = at_rest
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        for number in range(1, 40):
            relay.logins[side].files = f"values {number // 5}"
            relay.source.insert(*(row(i, f"k{i % 7}") for i in range(number * 500, number * 500 + 500)))
            await asyncio.sleep(0.7)
        await relay.until(lambda: not relay.source.rows)
    assert len(sent) >= 5
    assert all(sent)
    assert relay.publisher.ids == list(range(500, 20_000)), "each once, in order"


@pytest.mark.parametrize("side", SIDES)
async def test_nothing_is_given_up_and_no_failure_is_counted(side: str) -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {2}
    relay.source.insert(*(row(i, "bad" if i in (2, 4) else "good") for i in range(1, 10)))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        before = relay.report
        holders = dict(relay.locks.holders)
        discards = relay.publisher.discards
        relay.logins[side].files = "second"
        await relay.until(lambda: relay.logins[side].using == "second")
        relay.source.insert(row(20, "bad"), row(21, "good"))
        await relay.until(lambda: 21 in relay.publisher.ids)
        after = relay.report
        assert after.held.rows == before.held.rows
        assert after.shards == before.shards
        assert relay.locks.holders == holders
        assert (after.source, after.target) == (before.source, before.target)
        assert relay.publisher.discards == discards
        assert sorted(relay.source.rows) == [2, 4, 20]


@pytest.mark.parametrize("side", SIDES)
async def test_values_that_do_not_work_are_told_and_change_nothing_until_they_are_mended(side: str) -> None:
    relay = FakeRelay()
    login = relay.logins[side]
    login.bad["second"] = WRONG
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        login.files = "second"
        await relay.until(lambda: bool(relay.report.notices), seconds=3 * LOOK_SECONDS)
        [notice] = relay.report.notices
        place = "spec.source.database" if side == "source" else "spec.target"
        assert notice == (
            f"the Secrets of {place} changed, and what they hold now does not work: {WRONG.message}; "
            "the relay goes on with what they held before, so correct them or change them back"
        )
        relay.source.insert(row(1))
        await relay.until(lambda: not relay.source.rows)
        assert (login.using, relay.report.source.healthy, relay.report.delivery.circuit) == ("first", True, "Closed")
        assert reloads(relay, side, "Refused") == 1
        login.files = "third"
        await relay.until(lambda: login.using == "third", seconds=3 * LOOK_SECONDS)
        assert relay.report.notices == []


async def test_a_notice_goes_when_the_files_are_changed_back() -> None:
    relay = FakeRelay()
    relay.logins["source"].bad["second"] = WRONG
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.logins["source"].files = "second"
        await relay.until(lambda: bool(relay.report.notices))
        relay.logins["source"].files = "first"
        await relay.until(lambda: not relay.report.notices, seconds=2 * LOOK_SECONDS)
        assert relay.logins["source"].switched == []


async def test_values_that_begin_to_work_later_are_found_by_themselves_without_many_failed_logins() -> None:
    relay = FakeRelay()
    login = relay.logins["target"]
    login.bad["second"] = DOWN
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        login.files = "second"
        await asyncio.sleep(3600)
        assert 10 <= len(login.tried) <= 40
        login.bad.clear()
        await relay.until(lambda: login.using == "second", seconds=310)
        assert relay.report.notices == []


async def test_files_that_flicker_are_not_tried_before_they_rest() -> None:
    relay = FakeRelay()
    login = relay.logins["source"]
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        for number in range(20):
            login.files = f"half {number}"
            await asyncio.sleep(LOOK_SECONDS / 2)
        login.files = "second"
        await relay.until(lambda: login.using == "second")
    assert [values for _, values in login.tried] == ["second"]


async def test_doubt_about_what_is_in_use_makes_it_look_at_once() -> None:
    relay = FakeRelay()
    login = relay.logins["source"]
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        await asyncio.sleep(0.1)
        login.files = "second"
        login.doubted.set()
        await relay.until(lambda: login.using == "second", seconds=0.5)


async def test_a_change_that_fails_between_batches_is_told_and_tried_again() -> None:
    relay = FakeRelay()
    login = relay.logins["source"]
    login.stuck = SourceFault(Reason.CONNECT_FAILED, "the connections that were prepared have ended meanwhile")
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        login.files = "second"
        await relay.until(lambda: bool(relay.report.notices))
        assert "the change to what they hold now failed" in relay.report.notices[0]
        relay.source.insert(row(1))
        await relay.until(lambda: not relay.source.rows)
        assert login.using == "first"
        login.stuck = None
        await relay.until(lambda: login.using == "second", seconds=20)
        assert relay.report.notices == []


async def test_the_database_can_change_while_the_confirmed_rows_cannot_be_settled_with_the_old_values() -> None:
    relay = FakeRelay()
    login = relay.logins["source"]
    relay.source.insert(*(row(i) for i in range(1, 51)))

    def mend() -> None:
        relay.source.settle_fault = None

    login.on_switch = mend
    async with relay.running():
        relay.source.settle_fault = SourceFault(Reason.AUTHENTICATION_FAILED, "the old password is gone")
        await relay.until(lambda: bool(relay.publisher.arrived))
        login.files = "second"
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 51)), "none twice"


async def test_nothing_is_switched_while_the_brokers_are_down_and_it_follows_when_they_are_back() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.publisher.down = DOWN
        await relay.until(lambda: relay.report.delivery.circuit == "Open")
        relay.logins["source"].files = "second"
        await asyncio.sleep(30)
        assert relay.logins["source"].switched == []
        relay.publisher.down = None
        await relay.until(lambda: relay.logins["source"].using == "second")


async def test_a_paused_relay_follows_its_files_too() -> None:
    relay = FakeRelay(state="Paused")
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.logins["source"].files = "second"
        await relay.until(lambda: relay.logins["source"].using == "second", seconds=10)


async def test_what_waits_to_be_settled_is_forgotten_when_the_next_session_is_with_another_database() -> None:
    relay = FakeRelay()
    relay.source.insert(row(1), row(2))
    async with relay.running():
        relay.source.settle_fault = SourceFault(Reason.CONNECT_FAILED, "gone")
        await relay.until(lambda: relay.publisher.ids == [1, 2])
        relay.control.fault = SourceFault(Reason.CONNECT_FAILED, "gone")
        await relay.until(lambda: not relay.report.ready)
        # Another database, where other rows have the same ids.
        relay.logins["source"].place, relay.source.rows = "elsewhere", {}
        relay.source.insert(row(1, "other"), row(2, "other"))
        relay.source.settle_fault = relay.control.fault = None
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == [1, 2, 1, 2]


async def test_a_bug_in_the_watch_of_the_files_ends_the_process() -> None:
    relay = FakeRelay()

    def broken() -> str:
        raise RuntimeError("a bug")

    relay.logins["source"].on_file = broken  # type: ignore[method-assign]
    relay.process = relay.build()
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(relay.process.run(), 60)
