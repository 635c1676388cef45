"""The console's pages say what the commands say, and take nothing for more than text."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from outboxrelay.cli.chain import text as chain_text
from outboxrelay.decisions.chains import chains
from outboxrelay.decisions.explanation import explanation
from outboxrelay.decisions.fleet import Sort, arranged, row_of
from tests.pictures.fleet import bodies
from tests.support.console_hostility import LINKS
from tests.support.console_hostility import hostile as hostile_body
from tests.support.console_reading import PAGES, Read, read
from tests.support.console_stage import ME, Stage, fleet
from tests.support.relay_bodies import pod_body, relay_body, report

TOO_LONG = {
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "x" * 2000, "message": "m", "lastTransitionTime": "t"}
    ]
}
"""A condition that no API server would have taken."""
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def relays(page: Read) -> list[str]:
    """Names in the order of the table."""
    return [link.rpartition("/")[2] for link in page.links if link.startswith("/relays/")]


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("reverse", [False, True])
async def test_the_fleet_is_in_the_order_that_top_has(sort: Sort, reverse: bool) -> None:
    found = fleet()
    rows = [row_of(body) for body in found.relays.bodies()]
    expected = [row.name for row in arranged(rows, sort, reverse=reverse)]
    assert relays(await read(found, "/", sort=sort.value, reverse="1" if reverse else "")) == expected


async def test_the_worst_come_first_where_nothing_else_is_asked_for() -> None:
    found = fleet()
    rows = arranged([row_of(body) for body in found.relays.bodies()], Sort.STATE)
    assert relays(await read(found, "/")) == [row.name for row in rows]
    assert rows[0].health == "Failing"


async def test_a_row_says_state_numbers_and_why() -> None:
    text = (await read(fleet(), "/", q="captures")).text
    for word in (
        "Failing:",
        "BrokerUnavailable",
        "payments/",
        "captures",
        "3m05s",
        "34k",
        "3/3/8",
        "no broker answered",
    ):
        assert word in text
    assert "shop/" not in text


async def test_the_filter_and_failing_choose_as_those_of_top_do() -> None:
    found = fleet()
    assert relays(await read(found, "/", q="SHOP stock")) == ["stock"]
    assert set(relays(await read(found, "/", show="failing", q="payments"))) == {
        *("captures", "disputes", "fraud-scores", "invoices", "payouts", "risk", "settlements")
    }
    page = await read(found, "/", q='nothing like "this')
    assert relays(page) == []
    assert "No relay of 30 fits" in page.text
    assert {"name": "q", "value": 'nothing like "this'}.items() <= page.all("input")[0].items()


async def test_links_of_heads_keep_what_was_chosen_and_turn_the_order_round() -> None:
    page = await read(fleet(), "/", q="a b", show="failing", sort="lag")
    assert "/?q=a+b&show=failing&sort=lag&reverse=1" in page.links
    assert "/?q=a+b&show=failing&sort=backlog" in page.links
    orders = [item["aria-sort"] for item in page.all("th") if "aria-sort" in item]
    assert sorted(order or "" for order in orders) == ["descending", *["none"] * 5]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"sort": "size"}, "none of state, lag, backlog, rate, incidents, name"),
        ({"page": "0"}, "the first is 1"),
        ({"page": "٣"}, "the first is 1"),
        ({"show": "<b>"}, "none of all, failing"),
    ],
)
async def test_an_address_that_says_something_impossible_is_told_so(query: dict[str, str], says: str) -> None:
    async with (found := fleet()).leading():
        answer = found.get("/", query)
    assert answer.status == 400
    assert says in Read(answer).text


async def test_many_relays_are_shown_a_hundred_at_a_time() -> None:
    found = Stage(relay_body(f"r{number:03}") for number in range(250))
    first = await read(found, "/", sort="name")
    assert relays(first) == [f"r{number:03}" for number in range(100)]
    assert "1 to 100 of 250" in first.text
    assert "/?sort=name&page=2" in first.links
    last = await read(found, "/", sort="name", page="9")
    assert relays(last) == [f"r{number:03}" for number in range(200, 250)]
    assert "201 to 250 of 250" in last.text


async def test_where_there_is_no_relay_every_page_says_so() -> None:
    found = Stage()
    assert "no OutboxRelay yet" in (await read(found, "/")).text
    assert "No open incident" in (await read(found, "/incidents")).text
    assert "None of 0 relays feeds another" in (await read(found, "/chains")).text


async def test_what_relays_share_is_one_incident_with_the_relays_under_it() -> None:
    page = await read(fleet(), "/incidents")
    assert page.text.count("brokers do not answer") == 1
    assert "3 relays" in page.text
    assert {"captures", "disputes", "fraud-scores"} <= set(relays(page))
    severities = re.findall(r"\b(Critical|Warning)\b", page.text)
    assert severities == sorted(severities)


async def test_each_incident_leads_to_its_runbook_and_none_to_anything_but_a_page() -> None:
    found = Stage([hostile_body("good", "fine", link="https://books.example/incidents/NoProgress.md")])
    assert "https://books.example/incidents/NoProgress.md" in (await read(found, "/incidents")).links
    for link in LINKS:
        found = Stage([hostile_body("bad", "fine", link=link)])
        for path in ("/incidents", "/relays/shop/bad"):
            page = await read(found, path)
            assert all(item.startswith(("/", "#")) or item == "" for item in page.links)
            assert not any(item.startswith("//") for item in page.links)
            assert link in page.text


async def test_chains_say_what_the_command_says_in_picture_and_table() -> None:
    found = fleet()
    page = await read(found, "/chains")
    for chain in chains(found.relays.bodies()):
        head, held, *_ = chain_text(chain, width=None)
        assert head.partition(": ")[2] in page.text
        assert held in page.text
        for member in chain.members:
            assert page.text.count(f"{member.name}: {member.state}, lag") == 2  # wide and tall
    assert page.text.count("holds it up") == 6  # two chains are held up: two pictures and a table each


async def test_a_chain_with_too_much_in_it_is_a_table_only() -> None:
    labels = {"outboxrelay.dev/chain": "big"}
    many = [relay_body(f"r{number}") for number in range(90)]
    for number, body in enumerate(many):
        body["metadata"]["labels"] = labels | {"outboxrelay.dev/chain-stage": str(number)}
    page = await read(Stage(many), "/chains")
    assert not [item for item in page.all("div") if "picture" in (item["class"] or "")]
    assert "r89" in page.text


async def test_one_relay_shows_conditions_pods_and_what_explain_prints() -> None:
    found = fleet()
    body = found.relays.get(("shop", "stock")) or {}
    page = await read(found, "/relays/shop/stock")
    for line in explanation(body)[1:]:
        for piece in re.split(r"\s{2,}", line.strip()):
            assert piece in page.text
    for word in (
        "Accepted=True",
        "sku-4711",
        "LagObjectiveMissed",
        "2 keys are held",
        "stock-relay-",
        "4/16",
        "Ramping: the brokers",
    ):
        assert word in page.text
    assert "In the chain checkout" in page.text


async def test_a_pod_that_does_not_run_says_why_and_one_that_is_silent_that_it_is() -> None:
    found = Stage([relay_body("orders")])
    waits = [{"image": "i:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "<nope>"}}}]
    found.pods["shop", "orders"] = [pod_body("a", ready=False, containerStatuses=waits), pod_body("b")]
    page = await read(found, "/relays/shop/orders")
    assert "image i:1 cannot be pulled: <nope>" in page.text
    assert "ready, has not told of itself" in page.text


async def test_what_a_pod_said_long_ago_is_not_shown() -> None:
    found = Stage([relay_body("orders")])
    found.pods["shop", "orders"] = [pod_body("a")]
    found.reports["shop", "orders"] = {"a": report(member="a")}
    assert "has not told of itself" not in (await read(found, "/relays/shop/orders")).text
    found.age = 60
    assert "has not told of itself" in (await read(found, "/relays/shop/orders")).text


@pytest.mark.parametrize(
    "status", [None, "text", [], {"conditions": 3, "incidents": {}, "held": [], "scaling": "x"}, TOO_LONG]
)
async def test_a_status_of_any_shape_breaks_no_page(status: Any) -> None:
    found = Stage([relay_body("odd") | {"status": status}, *bodies(NOW)])
    for path in (*PAGES, "/relays/shop/odd"):
        assert "odd" in (await read(found, path)).text or path != "/"


async def test_a_standby_names_who_leads_and_how_to_get_there() -> None:
    found = Stage(bodies(NOW))
    found.standing = found.standing.__class__(ME, leads=False, holder="other-pod-1", namespace="ops", port=8081)
    page = Read(found.get("/"))
    assert "This replica stands by" in page.text
    assert "kubectl -n ops port-forward pod/other-pod-1 8081" in page.text
    assert "captures" not in page.text
    for holder, says in (("", "No replica is known to lead"), ("a (gave up: <b>)", "held by a (gave up: <b>)")):
        found.standing = found.standing.__class__(ME, leads=False, holder=holder, namespace="ops", port=8081)
        assert says in Read(found.get("/relays/shop/stock")).text


async def test_a_leader_that_has_just_begun_says_so_and_one_that_ended_shows_nothing() -> None:
    found = Stage(bodies(NOW))
    assert "has begun to lead" in Read(found.get("/")).text
    async with found.leading():
        assert "captures" in Read(found.get("/")).text
    assert "captures" not in Read(found.get("/")).text


async def test_addresses_that_lead_nowhere_are_told_so() -> None:
    found = Stage(bodies(NOW))
    async with found.leading():
        for path, says in (
            ("/x", "no such page"),
            ("/relays/shop/nobody", "no such relay"),
            ("/relays/shop", "no such"),
        ):
            answer = found.get(path)
            assert (answer.status, says in Read(answer).text) == (404, True)
