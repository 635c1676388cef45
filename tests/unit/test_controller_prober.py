"""Probing: what hangs or breaks for one relay stays there, and one silence is not yet an outage."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from outboxrelay.api.names import Reason
from outboxrelay.api.report import RelayReport
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.controller.probe_metrics import ProbeMetrics
from outboxrelay.controller.prober import Prober
from outboxrelay.controller.probes import SecretTexts, Subject
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Exclusions, TableCount
from outboxrelay.errors import NotAsked, SourceFault, TargetFault
from tests.support.moved_clock import LoopClock
from tests.support.relay_bodies import manifest, report
from tests.support.tasks import owned

pytestmark = pytest.mark.looptime

A, B = ("shop", "a"), ("shop", "b")
NOTHING = TableCount(0, True, None)


class World:
    """Databases that behave by the relay's table, brokers that are well, pods by address."""

    def __init__(self) -> None:
        self.tables: dict[str, Callable[[], Any]] = {}
        self.asked: dict[str, list[float]] = {}
        self.broker: Callable[[], Any] = nothing

    async def count(
        self, spec: OutboxRelaySpec, secrets: SecretTexts, exclusions: Exclusions, seconds: float
    ) -> TableCount:
        table = spec.source.table.name
        self.asked.setdefault(table, []).append(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(seconds):
                await self.tables.get(table, nothing)()
        except TimeoutError:
            raise SourceFault(Reason.TIMEOUT, "no answer") from None
        return NOTHING

    async def check(self, spec: OutboxRelaySpec, secrets: SecretTexts, seconds: float) -> None:
        await self.broker()

    async def fetch(self, address: str, seconds: float) -> RelayReport | None:
        await hang() if address == "10.0.0.9" else await nothing()
        return report(member=address, uid="stranger" if address == "10.0.0.2" else "uid")


async def nothing() -> None:
    await asyncio.sleep(0.01)


async def hang() -> None:
    await asyncio.sleep(1e6)


async def hang_and_ignore_being_cancelled() -> None:
    for _ in range(3):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            continue


async def broken() -> None:
    raise KeyError("bug")


async def not_asked() -> None:
    raise NotAsked("others had their turn")


async def refused() -> None:
    raise TargetFault(Reason.BROKER_UNAVAILABLE, "connection refused")


def subject(table: str, brokers: str = "") -> Subject:
    spec = manifest(source={"table": {"name": table}}).spec
    return Subject("uid", spec, {("orders-db", "uri"): "x"}, target_place=brokers)


@asynccontextmanager
async def probing(world: World, woken: list[Key]) -> AsyncIterator[Prober]:
    prober = Prober(
        world, world, world, ProbeMetrics(CollectorRegistry()), clock=LoopClock(), wake=woken.append, interval=5
    )
    async with owned(prober.run()):
        yield prober


@pytest.mark.parametrize("trouble", [hang, hang_and_ignore_being_cancelled, broken])
async def test_a_database_that_hangs_or_brings_out_a_bug_costs_other_relays_nothing(trouble: Callable[[], Any]) -> None:
    world = World()
    world.tables["a"] = trouble
    async with probing(world, []) as prober:
        prober.watch(A, subject("a"), {})
        prober.watch(B, subject("b"), {})
        await asyncio.sleep(60)
        healthy = prober.results(B).source
        assert healthy is not None
        assert healthy.healthy
        assert max(after - before for before, after in zip(world.asked["b"], world.asked["b"][1:], strict=False)) < 6
        sick = prober.results(A).source
        assert sick is not None
        assert sick.reason in (Reason.TIMEOUT, Reason.PROBE_STALE)
    # What does not let itself be cancelled ends at last.
    await asyncio.sleep(1000)


async def test_fifty_relays_of_one_namespace_whose_databases_hang_delay_no_probe_of_others() -> None:
    async def longest_gap(sick: int) -> float:
        world = World()
        well = [f"well{number}" for number in range(10)]
        world.tables |= {f"sick{number}": hang for number in range(sick)}
        async with probing(world, []) as prober:
            for number in range(sick):
                prober.watch(("bad", f"sick{number}"), subject(f"sick{number}"), {})
            for name in well:
                prober.watch(("shop", name), subject(name), {})
            await asyncio.sleep(120)
        return max(after - before for name in well for before, after in pairwise(world.asked[name]))

    alone, beside = await longest_gap(0), await longest_gap(50)
    print(f"\nlongest gap between two probes of ten well relays: alone {alone:.2f} s, beside fifty {beside:.2f} s")
    assert beside <= alone + 0.01


async def test_a_database_that_hangs_does_not_keep_its_own_relays_brokers_from_being_asked() -> None:
    world = World()
    world.tables["a"] = hang
    async with probing(world, []) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(60)
        target = prober.results(A).target
        assert target is not None
        assert asyncio.get_running_loop().time() - target.at < 6


async def test_brokers_that_hang_are_named_by_their_address() -> None:
    world = World()
    world.broker = hang
    async with probing(world, []) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(20)
        target = prober.results(A).target
        assert target is not None
        assert target.reason is Reason.BROKER_UNAVAILABLE
        assert manifest().spec.target.bootstrap_servers[0] in target.message


def keys_of(count: int) -> list[Key]:
    return [("shop", str(number)) for number in range(count)]


async def test_who_uses_the_brokers_that_one_relay_lost_is_asked_at_once_and_strangers_are_not() -> None:
    world, keys = World(), keys_of(100)
    async with probing(world, []) as prober:
        for key in keys:
            prober.watch(key, subject("a", "kafka:9092"), {})
        prober.watch(A, subject("a", "other:9092"), {})
        await asyncio.sleep(60)
        world.broker = refused

        def lost() -> int:
            return sum(1 for key in keys if (probe := prober.results(key).target) and not probe.healthy)

        while not lost():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        assert lost() == len(keys)


async def test_a_relay_whose_brokers_come_and_go_hardly_makes_work_for_the_others() -> None:
    flaps, asked = False, 0

    async def by_turns() -> None:
        nonlocal flaps
        flaps = not flaps
        if flaps:
            await refused()

    class OneFlaps(World):
        async def check(self, spec: OutboxRelaySpec, secrets: SecretTexts, seconds: float) -> None:
            nonlocal asked
            if spec.source.table.name == "flapping":
                await by_turns()
            else:
                asked += 1

    world = OneFlaps()
    async with probing(world, []) as prober:
        for key in keys_of(20):
            prober.watch(key, subject("well", "kafka:9092"), {})
        prober.watch(A, subject("flapping", "kafka:9092"), {})
        await asyncio.sleep(100)
    assert asked <= 20 * 100 / 5 * 1.75


async def test_one_silence_of_a_database_that_was_well_is_asked_about_again_before_it_counts() -> None:
    world, woken = World(), list[Key]()
    async with probing(world, woken) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(1)
        silences = iter([hang, nothing])
        world.tables["a"] = lambda: next(silences, nothing)()
        await asyncio.sleep(20)
        probe = prober.results(A).source
        assert probe is not None
        assert probe.healthy
        world.tables["a"] = hang
        begun = asyncio.get_running_loop().time()
        while (probe := prober.results(A).source) is None or probe.healthy:
            await asyncio.sleep(0.1)
        assert asyncio.get_running_loop().time() - begun < 15


async def test_a_pod_that_does_not_answer_costs_the_others_nothing_and_strangers_are_not_believed() -> None:
    async with probing(World(), []) as prober:
        prober.watch(A, subject("a"), {"one": "10.0.0.1", "stranger": "10.0.0.2", "hung": "10.0.0.9"})
        await asyncio.sleep(30)
        assert set(prober.results(A).reports) == {"one"}
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(10)
        assert prober.results(A).reports == {}


async def test_new_credentials_are_tried_at_once() -> None:
    world = World()
    async with probing(world, []) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(1)
        prober.watch(A, subject("b"), {})
        await asyncio.sleep(0.5)
        assert len(world.asked["b"]) == 1


async def test_a_relay_is_woken_by_what_means_something_new_and_by_nothing_else() -> None:
    world, woken = World(), list[Key]()
    async with probing(world, woken) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(1)
        first = len(woken)
        assert first > 0
        await asyncio.sleep(60)
        assert len(woken) == first


async def test_a_fault_wakes_its_relay_when_it_is_met_and_when_it_is_met_again_and_then_no_more() -> None:
    world, woken = World(), list[Key]()
    async with probing(world, woken) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(10)
        before = len(woken)
        world.broker = refused
        await asyncio.sleep(6)
        assert len(woken) >= before + 1
        await asyncio.sleep(6)
        assert len(woken) == before + 2
        await asyncio.sleep(60)
        assert len(woken) == before + 2


async def test_forgotten_relays_are_asked_about_no_more() -> None:
    world = World()
    async with probing(world, []) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(1)
        prober.forget(A)
        await asyncio.sleep(60)
        assert len(world.asked["a"]) == 1


def gaps(meter: ProbeMetrics, registry: CollectorRegistry, side: str, result: str) -> tuple[float, float]:
    """How many gaps were seen, and how many of them were of ten seconds at most."""
    labels = {"side": side, "result": result}
    name = "outboxrelay_controller_probe_gap_seconds"
    total = registry.get_sample_value(f"{name}_count", labels) or 0.0
    return total, registry.get_sample_value(f"{name}_bucket", {**labels, "le": "10.0"}) or 0.0


async def test_how_regularly_everybody_is_asked_is_measured_apart_from_who_does_not_answer() -> None:
    world, registry = World(), CollectorRegistry()
    meter = ProbeMetrics(registry)
    prober = Prober(world, world, world, meter, clock=LoopClock(), wake=lambda _key: None, interval=5)
    world.tables["a"] = hang
    async with owned(prober.run()):
        prober.watch(A, subject("a"), {})
        prober.watch(B, subject("b"), {"one": "10.0.0.1", "hung": "10.0.0.9"})
        await asyncio.sleep(100)
    total, in_time = gaps(meter, registry, "source", "answered")
    assert total == in_time
    assert 15 <= total <= 25
    silent, _ = gaps(meter, registry, "source", "silent")
    assert 5 <= silent <= 15
    assert gaps(meter, registry, "target", "answered")[0] > 30
    assert gaps(meter, registry, "pods", "silent")[0] > 5


async def test_a_question_that_was_not_put_changes_nothing_that_is_known_and_wakes_nobody() -> None:
    world, woken = World(), list[Key]()
    async with probing(world, woken) as prober:
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(20)
        before, count = prober.results(A), prober.results(A).count
        known, said = (before.source, before.target), len(woken)
        world.tables["a"] = world.broker = not_asked
        await asyncio.sleep(60)
        after = prober.results(A)
        assert (after.source, after.target) == known
        assert after.count == count
        assert len(woken) == said
        assert len(world.asked["a"]) > 12


async def test_a_bug_in_a_look_is_logged_and_the_side_is_asked_again() -> None:
    world, registry = World(), CollectorRegistry()
    meter, clock = ProbeMetrics(registry), LoopClock()
    prober = Prober(world, world, world, meter, clock=clock, wake=lambda _key: None, interval=5)
    async with owned(prober.run()):
        prober.watch(A, subject("a"), {})
        await asyncio.sleep(1)
        # No answer of any adapter: what an answer leads to is broken.
        prober.results(A).reports["x"] = None  # type: ignore[assignment]
        await asyncio.sleep(30)
        assert gaps(meter, registry, "source", "failed")[0] > 2
        prober.results(A).reports.clear()
        before = len(world.asked["a"])
        await asyncio.sleep(10)
        assert len(world.asked["a"]) > before
