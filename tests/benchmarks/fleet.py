"""What one controller costs that looks after 50, 200 and 500 relays, and how soon it has looked at all of them.

One of the relays' databases accepts connections and never answers. No pod runs: controllers, scheduler and kubelet are
stopped, and what they would bring about is written for them.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from outboxrelay.adapters.kube import open_client
from outboxrelay.adapters.kube_objects import KubeObjects
from outboxrelay.manifests.kinds import RELAY
from tests.benchmarks import fleet_world as world
from tests.cluster import components
from tests.support import definition
from tests.support.kubectl import Kubectl
from tests.support.relay_process import cpu_seconds, free_port, memory_mb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

STOPPED = ("kube-controller-manager", "kube-scheduler")
"""Kept from making pods of the Deployments."""
FIRST_SECONDS = 300.0
SETTLE_SECONDS = 45.0
LEASE_NAMESPACE = "fleet-0"
COLLECTIONS = (
    "/apis/outboxrelay.dev/v1alpha1/namespaces/{}/outboxrelays",
    "/apis/apps/v1/namespaces/{}/deployments",
    "/api/v1/namespaces/{}/pods?gracePeriodSeconds=0",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/serviceaccounts",
    "/api/v1/namespaces/{}/secrets",
    "/api/v1/namespaces/{}/events",
)
RESOURCES = ("outboxrelays", "deployments", "configmaps", "serviceaccounts", "secrets", "events", "pods")
GAPS = "outboxrelay_controller_probe_gap_seconds_bucket"
LOOKS = "outboxrelay_controller_reconciles_total"
SIDES = ("source", "target", "pods")


async def measure(folder: Path, sizes: Sequence[int], seconds: float) -> dict[str, float]:
    """The figures of each size, over ``seconds`` seconds in which numbers move."""
    figures: dict[str, float] = {}
    with definition.installed(Kubectl("default")):
        names = [f"fleet-{number}" for number in range(world.NAMESPACES)]
        for name in names:
            await _kubectl("create", "namespace", name)
        try:
            for name in STOPPED:
                await asyncio.to_thread(components.stop, name)
            for size in sizes:
                found = await _one(folder, size, seconds)
                figures |= {f"fleet_{size}_{name}": value for name, value in found.items()}
                for name in names:
                    for path in COLLECTIONS:
                        await _kubectl("delete", "--raw", path.format(name))
        finally:
            for name in reversed(STOPPED):
                await asyncio.to_thread(components.start, name)
            await _kubectl("delete", "namespace", *names, "--wait=true", "--timeout=90s")
    return figures | _growth(figures, sizes)


def _growth(figures: dict[str, float], sizes: Sequence[int]) -> dict[str, float]:
    """What a relay costs in the largest fleet, as a multiple of what it costs in the one before: 1 is linear."""
    if len(sizes) < 2:
        return {}
    small, large = sizes[-2:]
    shares = [figures[f"fleet_{size}_cpu_percent"] / size for size in (small, large)]
    return {"fleet_cpu_growth": round(shares[1] / shares[0], 2)}


async def _one(folder: Path, size: int, seconds: float) -> dict[str, float]:
    members = world.fleet(size)
    pods = world.Pods(members)
    async with (
        open_client(user_agent="fleet-bench") as client,
        world.databases(members) as uris,
        world.topics() as topics,
        pods.serving(),
    ):
        objects = KubeObjects(client)
        await world.declare(objects, members, uris, topics)
        items, _ = await objects.list(RELAY, None, metadata_only=True)
        pods.uids = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item["metadata"]["uid"] for item in items
        }
        began = time.monotonic()
        async with _controller(folder, f"fleet-{size}") as (process, port):
            pid = process.pid
            first = await _all_observed(objects, size, began, process)
            used = cpu_seconds(pid)
            print(f"  {size} relays: first look at all after {first:.1f} s, {used:.1f} s of processor", flush=True)
            await world.run_pods(objects, members)
            ready = await _all_ready(objects, size)
            print(
                f"  {size} relays: all {ready} that can be are ready after {time.monotonic() - began:.0f} s", flush=True
            )
            await asyncio.sleep(SETTLE_SECONDS)
            found = await _steady(pid, port, seconds)
    found = {"first_look_seconds": round(first, 1), **found}
    print(f"  {size} relays: {found}", flush=True)
    return found


@asynccontextmanager
async def _controller(folder: Path, name: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    port = free_port()
    command = [sys.executable, "-m", "outboxrelay", "controller", "--relay-image", "localhost/none:none"]
    command += ["--lease-namespace", LEASE_NAMESPACE, "--lease-name", name, "--port", str(port), "--identity", name]
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield process, port
    except SystemExit:
        print((folder / f"{name}.log").read_text()[-2000:])
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _all_observed(objects: KubeObjects, size: int, began: float, process: asyncio.subprocess.Process) -> float:
    """Seconds until every relay has a status of its generation."""
    done = 0
    while time.monotonic() - began < FIRST_SECONDS and process.returncode is None:
        items, _ = await objects.list(RELAY, None)
        done = sum(item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"] for item in items)
        if done == size:
            return time.monotonic() - began
        await asyncio.sleep(0.5)
    raise SystemExit(f"after {time.monotonic() - began:.0f} s only {done} of {size} relays had been looked at")


async def _all_ready(objects: KubeObjects, size: int) -> int:
    """Wait until every relay is ready but the one whose database hangs, and that one says why."""
    deadline = time.monotonic() + FIRST_SECONDS
    reasons: dict[str, int] = {}
    while time.monotonic() < deadline:
        items, _ = await objects.list(RELAY, None)
        reasons = {}
        for item in items:
            (ready,) = (each for each in item["status"]["conditions"] if each["type"] == "Ready")
            reasons[ready["reason"]] = reasons.get(ready["reason"], 0) + 1
            well = ready["status"] == "True"
            reasons["ready"] = reasons.get("ready", 0) + well
        if reasons["ready"] == size - 1 and reasons.get("Timeout") == 1:
            return size - 1
        await asyncio.sleep(2)
    raise SystemExit(f"not all relays became ready: {reasons}")


async def _steady(pid: int, port: int, seconds: float) -> dict[str, float]:
    before, requests, used = await _metrics(port), await _requests(), cpu_seconds(pid)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    used = cpu_seconds(pid) - used
    took = time.monotonic() - began
    after, more = await _metrics(port), await _requests()
    made = {key: value - requests.get(key, 0) for key, value in more.items()}
    status = sum(
        n for (verb, resource, sub), n in made.items() if (verb, resource, sub) == ("PATCH", RELAY.plural, "status")
    )
    ours = {verb_and_kind: n for verb_and_kind, n in made.items() if verb_and_kind[1] in RESOURCES}
    writes = sum(n for (verb, _, _), n in ours.items() if verb not in ("GET", "LIST", "WATCH"))
    reads = sum(n for (verb, _, _), n in ours.items() if verb in ("GET", "LIST"))
    looks = sum(after.get(key, 0) - before.get(key, 0) for key in after if key[0] == LOOKS)
    found = {
        "cpu_percent": round(100 * used / took, 1),
        "rss_mb": round(memory_mb(pid), 1),
        "status_writes_per_s": round(status / took, 2),
        "writes_per_s": round(writes / took, 2),
        "reads_per_s": round(reads / took, 2),
        "looks_per_s": round(looks / took, 1),
    }
    for side in SIDES:
        gaps = {bound: after.get(key, 0) - before.get(key, 0) for bound, key in _buckets(after, side)}
        total = max(gaps.values(), default=0)
        if total <= 0:
            raise SystemExit(f"no {side} was asked")
        found[f"probe_gap_{side}_seconds"] = min(bound for bound, count in gaps.items() if count == total)
    return found


Series = tuple[str, tuple[tuple[str, str], ...]]


def _buckets(series: dict[Series, float], side: str) -> Iterator[tuple[float, Series]]:
    for name, labels in series:
        values = dict(labels)
        if name == GAPS and (values["side"], values["result"]) == (side, "answered"):
            yield float(values["le"]), (name, labels)


async def _metrics(port: int) -> dict[Series, float]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


REQUEST = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)


async def _requests() -> dict[tuple[str, str, str], float]:
    """Requests that the API server has answered, by verb, resource and subresource."""
    found: dict[tuple[str, str, str], float] = {}
    for labels, value in REQUEST.findall(await _kubectl("get", "--raw", "/metrics")):
        values = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        key = values["verb"], values["resource"], values["subresource"]
        found[key] = found.get(key, 0) + float(value)
    return found


async def _kubectl(*arguments: str) -> str:
    def run() -> str:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    return await asyncio.to_thread(run)
