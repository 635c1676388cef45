"""Each example is applied on the cluster as its comment says, and its event arrives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.example_trial import Trial, service, trial
from tests.support.examples import EXAMPLES, Arrival
from tests.support.records import Records, headers_of
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

KEDA = Path(__file__).with_name("keda.yaml")
SCALED = "scaledobjects.keda.sh"


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_is_applied_and_its_event_arrives(
    name: str, stand: Stand, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name == "tls-scram.yaml":
        request.getfixturevalue("local")
    async with contextlib.AsyncExitStack() as stack:
        if name == "keda-scaledobject.yaml":
            await stack.enter_async_context(keda(stand))
        it = await stack.enter_async_context(trial(stand, name, tmp_path))
        if name == "chain.yaml":
            billing = {"BILLING_URI": it.uris["billing"], "KAFKA": stand.rig.kafka}
            await stack.enter_async_context(service("chain_billing.py", **billing))
        heard = {topic: stack.enter_context(Records(stand.rig.kafka, topic, from_now=True)) for topic in topics(it)}
        await it.apply()
        await it.write()
        for arrival in it.example.arrivals:
            await arrives(it, heard[arrival.topic], arrival)
        for topic in it.example.topics:
            assert not heard[topic].records, topic
        if name == "partitioned.yaml":
            assert await until(lambda: archived(it), "row in the archive", 30) == 1
        if name == "routing.yaml":
            moved = await until(lambda: quarantined(it), "row in quarantine", 30)
            assert "orders.moon" in moved


def topics(it: Trial) -> set[str]:
    return {arrival.topic for arrival in it.example.arrivals} | set(it.example.topics)


async def arrives(it: Trial, consumer: Records, arrival: Arrival) -> None:
    """Wait for it, and look at it."""

    async def probe() -> list[object]:
        return [record for record in consumer.records if record.key() == it.key.encode()]

    found = await until(probe, f"event of {it.key} in {arrival.topic}", 90, last=lambda: len(consumer.records))
    assert len(found) == 1
    (record,) = [record for record in consumer.records if record.key() == it.key.encode()]
    headers = headers_of(record)
    assert headers["id"]
    assert arrival.headers.items() <= headers.items()
    value = record.value()
    assert value is not None
    assert arrival.value.items() <= json.loads(value).items()


async def archived(it: Trial) -> int:
    return int(await it.stand.value("SELECT count(*) FROM outboxrelay.archive WHERE key = $1", it.key))


async def quarantined(it: Trial) -> str:
    found = await it.stand.value("SELECT reason || ' ' || message FROM outboxrelay.quarantine WHERE key = $1", it.key)
    return str(found or "")


@contextlib.asynccontextmanager
async def keda(stand: Stand) -> AsyncIterator[None]:
    """The kinds of KEDA: its own where it is installed, else a stand-in with what its documentation names.

    KEDA itself does not run here: that it scales by these objects is not shown, only that they are well formed.
    """
    is_there = await stand.kubectl.find("crd", SCALED) is not None
    if not is_there:
        await stand.kubectl.run("apply", "-f", str(KEDA))
        await stand.kubectl.run("wait", "--for=condition=Established", "-f", str(KEDA), "--timeout=30s")
        # The API server serves a kind a moment after it has said so.
        await until(lambda: served(stand), "kind ScaledObject", 30)
    try:
        yield
    finally:
        if not is_there:
            await stand.kubectl.run("delete", "-f", str(KEDA))


async def served(stand: Stand) -> bool:
    return (await stand.kubectl.attempt("get", SCALED)).code == 0


async def test_what_is_no_field_of_keda_is_refused(stand: Stand, rig: Rig) -> None:
    text = Path("examples/keda-scaledobject.yaml").read_text().replace("pollingInterval", "pollInterval")
    async with keda(stand):
        done = await asyncio.wait_for(
            stand.kubectl.attempt("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text), 60
        )
    assert done.code != 0
    assert 'unknown field "spec.pollInterval"' in done.error
