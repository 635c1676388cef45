"""The scenes of the demo, in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.cluster import kafka
from tests.demo import screen
from tests.demo.stage import NAMESPACE, OPERATOR_NAMESPACE, RELAY, Stage
from tests.support.oracle import Oracle, Verdict
from tests.support.pod_processes import relay_pid

BACKLOG = 50_000
OUTAGE_SECONDS = 20
PATIENCE = 120
Probe = Callable[[dict[str, Any]], bool]


class Story:
    """One performance on one stage."""

    def __init__(self, stage: Stage, oracle: Oracle) -> None:
        self._stage = stage
        self._oracle = oracle
        self._shown: list[str] = []
        """The cells of the last line shown, without the age."""

    async def play(self) -> Verdict:
        """All scenes; the oracle's verdict."""
        await self._apply()
        async with self._oracle.writer.writing(per_second=50):
            await self._drain_with_a_killed_pod()
            if self._stage.is_local:
                await self._broker_outage()
            else:
                screen.say("The broker of a cluster of your own is left alone: no outage is played.")
        return await self._judge()

    async def _apply(self) -> None:
        screen.heading("An OutboxRelay is declared")
        screen.show(self._stage.manifest())
        self._kubectl("apply", "-f", "-", stdin=self._stage.manifest())
        await self._watch(lambda relay: ready(relay) == ("True", "Idle"))
        self._kubectl("get", "pods")

    async def _drain_with_a_killed_pod(self) -> None:
        screen.heading(f"A service goes on committing, and {BACKLOG:,} rows are already there")
        await self._oracle.writer.bulk(BACKLOG)
        started = time.monotonic()
        await self._watch(lambda _: len(self._oracle.consumer.ids) > BACKLOG // 4)
        await self._kill_one_pod()
        await self._watch(lambda relay: len(self._oracle.consumer.ids) >= BACKLOG and backlog(relay) < 100)
        screen.good(f"Drained in {time.monotonic() - started:.0f} s, across the death of a pod.")

    async def _kill_one_pod(self) -> None:
        pods = json.loads(
            self._kubectl("get", "pods", "-l", f"outboxrelay.dev/relay={RELAY}", "-o", "json", quiet=True)
        )
        victim = pods["items"][0]["metadata"]
        screen.heading("One relay pod is killed in the middle, with -9")
        if not self._stage.is_local:
            self._kubectl("delete", "pod", victim["name"], "--force", "--grace-period=0")
            return
        pid = relay_pid(victim["uid"])
        screen.show(f"$ kill -9 {pid}        # the relay in {victim['name']}")
        os.kill(pid, signal.SIGKILL)

    async def _broker_outage(self) -> None:
        screen.heading(f"The Kafka broker is stopped for {OUTAGE_SECONDS} s")
        stopped = time.monotonic()
        await asyncio.to_thread(kafka.stop)
        await self._watch(lambda relay: ready(relay) == ("False", "BrokerUnavailable"))
        screen.good(f"Noticed and named {time.monotonic() - stopped:.0f} s after it stopped:")
        screen.show(message(self._relay()))
        await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - stopped)))
        screen.say("It comes back.")
        await asyncio.to_thread(kafka.start)
        back = time.monotonic()
        await self._watch(lambda relay: ready(relay)[0] == "True")
        screen.good(f"Ready again {time.monotonic() - back:.0f} s after the broker answers.")

    async def _judge(self) -> Verdict:
        screen.heading("The oracle counts")
        verdict = await self._oracle.verdict(deadline=PATIENCE)
        await self._watch(lambda relay: backlog(relay) == 0)
        self._kubectl(
            "get",
            "events",
            "--field-selector",
            "involvedObject.kind=OutboxRelay",
            "-o",
            "custom-columns=LAST:.lastTimestamp,TYPE:.type,REASON:.reason,MESSAGE:.message",
            "--sort-by=.lastTimestamp",
        )
        (screen.good if verdict.passed else screen.bad)(verdict.report())
        return verdict

    async def _watch(self, condition: Probe) -> None:
        """Print a line of kubectl get whenever it changes, until ``condition`` holds of the object."""
        deadline = time.monotonic() + PATIENCE
        while True:
            relay = await asyncio.to_thread(self._relay)
            self._show_when_changed()
            if condition(relay):
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {PATIENCE} s in vain: {json.dumps(relay.get('status'), indent=1)}")
            await asyncio.sleep(1)

    def _show_when_changed(self) -> None:
        header, _, line = self._kubectl("get", "outboxrelays", quiet=True).rstrip("\n").partition("\n")
        names, cells = screen.columns(header, line)
        if cells[:-1] != self._shown:
            if not self._shown:
                screen.show(screen.table_line(names))
            screen.show(screen.table_line(cells))
            self._shown = cells[:-1]

    def _relay(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._kubectl("get", "outboxrelay", RELAY, "-o", "json", quiet=True))
        return found

    def _kubectl(self, *arguments: str, **options: Any) -> str:
        return self._stage.kubectl(*arguments, **options)


def ready(relay: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of the Ready condition."""
    for condition in relay.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"]
    return "Unknown", ""


def message(relay: dict[str, Any]) -> str:
    """Message of the Ready condition."""
    conditions = relay.get("status", {}).get("conditions", [])
    return next((condition["message"] for condition in conditions if condition["type"] == "Ready"), "")


def backlog(relay: dict[str, Any]) -> int:
    """Pending rows, as the status tells."""
    return int(relay.get("status", {}).get("backlog", {}).get("rows", 0))


async def perform(keep: bool) -> int:
    """Set the stage, play, and strike it unless it is to be kept; the exit code."""
    stage = Stage()
    screen.heading("The operator is installed")
    await asyncio.to_thread(stage.install_operator)
    await stage.build()
    async with Oracle(stage.uri, stage.servers, stage.topic, keys=500, seed=1) as oracle:
        verdict = await Story(stage, oracle).play()
    if keep:
        _how_to_look_around(stage)
    else:
        await stage.strike()
    return verdict.exit_code


def _how_to_look_around(stage: Stage) -> None:
    screen.heading("Everything is left running; look around with")
    inside = "python3 -m tests.cluster run --" if stage.is_local else ""
    for command in (
        f"kubectl -n {NAMESPACE} get outboxrelays -o wide",
        f"kubectl -n {NAMESPACE} describe outboxrelay {RELAY}",
        f"kubectl -n {NAMESPACE} scale outboxrelay {RELAY} --replicas=2",
        f"kubectl -n {OPERATOR_NAMESPACE} logs deployment/outbox-relay-operator",
        ".venv/bin/outboxrelay top -A",
        f"psql '{stage.uri}'",
    ):
        screen.show(f"{inside} {command}".strip())
    if stage.is_local:
        screen.show("make cluster-down        # ends it all")
