"""A relay on the bench whose pods come and go as its Deployment asks."""

from datetime import timedelta
from typing import Any

from outboxrelay.api.report import RelayReport
from outboxrelay.decisions.facts import TableCount
from outboxrelay.manifests.kinds import DEPLOYMENT, RELAY, SECRET
from tests.support.controller_bench import Bench
from tests.support.fake_kube import FakeKube
from tests.support.relay_bodies import pod_body, relay_body, report, secret
from tests.support.waiting import until

KEY = ("shop", "orders")
CHILD = (DEPLOYMENT.kind, "shop", "orders-relay")


def asked(bench: Bench) -> int:
    """Pods that the Deployment asks for."""
    found: int = bench.kube.objects[CHILD]["spec"]["replicas"]
    return found


def pods_run(bench: Bench, *, each: float = 100.0, full: float = 1.0) -> None:
    """All pods that are asked for are ready, and deliver ``each`` rows per second."""
    wanted, body = asked(bench), bench.kube.objects[CHILD]
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), wanted)
    body["status"] = {**counts, "observedGeneration": body["metadata"]["generation"]}
    # Pods that end go on answering until they are not asked any more.
    bench.cache.pod_bodies = []
    for number in range(wanted):
        name, address = f"orders-relay-{number}", f"10.0.0.{number + 1}"
        bench.cache.pod_bodies.append(pod_body(name, podIP=address))
        bench.world.reports[address] = told(name, bench, each, full)


def told(name: str, bench: Bench, each: float, full: float) -> RelayReport:
    """What such a pod says; its count of rows moves on with time."""
    found = report(member=name, delivered=int(bench.clock.monotonic() * each) + 1)
    numbers = {"rows_per_second": each, "busy_share": full, "full_share": full, "read_p95_milliseconds": 5.0}
    started = found.observed_at - timedelta(minutes=5)
    delivery = found.delivery.model_copy(update=numbers)
    return found.model_copy(update={"started_at": started, "delivery": delivery})


async def begin(bench: Bench, *, full: float = 1.0, **spec: Any) -> None:
    """A relay whose first pods run."""
    bench.kube.put(SECRET, secret(uri="db.example"))
    bench.create(relay_body(**spec))
    await bench.look(KEY)
    pods_run(bench, full=full)
    await bench.look(KEY)
    await answered(bench)


async def answered(bench: Bench) -> None:
    """The table was counted and every pod has told how it is."""

    async def observed() -> bool:
        results = bench.prober.results(KEY)
        return results.count is not None and len(results.reports) == asked(bench)

    await until(observed, "first answers", 5, every=0.5)


async def successor_of(kube: FakeKube, bench: Bench, rows: TableCount) -> None:
    """``bench`` leads from now on."""
    bench.world.counted = rows
    pods_run(bench)
    bench.relays.deliver(None, kube.objects[RELAY.kind, *KEY])
    await bench.look(KEY)
    await answered(bench)


async def live(bench: Bench, seconds: int, *, each: float = 100.0, full: float = 1.0) -> None:
    """Time passes, a look every five seconds, and what is asked for runs at once."""
    for _ in range(seconds // 5):
        pods_run(bench, each=each, full=full)
        await bench.pass_time(5, KEY)
        await bench.look(KEY)


BACKLOG = TableCount(rows=40_000, exact=True, oldest_age=400.0)
EMPTY = TableCount(rows=0, exact=True, oldest_age=None)
