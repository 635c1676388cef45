"""A relay of the bench that delivers, and waiting until it says something."""

from typing import Any

from outboxrelay.manifests.kinds import DEPLOYMENT, SECRET
from tests.support.controller_bench import Bench
from tests.support.relay_bodies import pod_body, relay_body, report, secret
from tests.support.waiting import until

KEY = ("shop", "orders")
CHILD = (DEPLOYMENT.kind, "shop", "orders-relay")


def running_deployment(bench: Bench) -> None:
    """What Kubernetes does with the Deployment."""
    body = bench.kube.objects[CHILD]
    wanted = body["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), wanted)
    body["status"] = {**counts, "observedGeneration": body["metadata"]["generation"]}
    bench.cache.pod_bodies = [pod_body()] if wanted else []
    bench.world.reports["10.0.0.1"] = report(delivered=1)


async def settle(bench: Bench, key: tuple[str, str] = KEY, **expected: str) -> dict[str, Any]:
    """Look until Ready is as expected."""

    async def matches() -> dict[str, Any] | None:
        bench.clock.move(0.1)
        await bench.look(key)
        found = bench.condition(key)
        return found if all(found.get(field) == value for field, value in expected.items()) else None

    return await until(matches, f"Ready {expected}", 30, every=0.5, last=lambda: bench.condition(key))


async def delivering(bench: Bench) -> None:
    """A relay that is well."""
    bench.kube.put(SECRET, secret(uri="db.example"))
    bench.create(relay_body())
    await bench.look(KEY)
    running_deployment(bench)
    await settle(bench, status="True")
