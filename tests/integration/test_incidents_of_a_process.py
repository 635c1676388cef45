"""The controller as a process: from a fault to the receiver of a notification, through the death of the leader."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outboxrelay.manifests.kinds import RELAY, SECRET
from tests.support.api_server import ApiServer, api_server
from tests.support.controller_process import ControllerProcess, controller
from tests.support.receivers import Receiver, receiver
from tests.support.relay_bodies import relay_body, secret
from tests.support.waiting import until

PLACE = (RELAY.kind, "shop", "orders")


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as (running, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield running


def ports(count: int) -> list[int]:
    """Ports where nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    found = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return found


def relay(name: str, broker: int) -> dict[str, Any]:
    """An OutboxRelay whose brokers are at a port."""
    return relay_body(name, target={"bootstrapServers": [f"127.0.0.1:{broker}"]})


def told(hook: Receiver, kind: str) -> list[tuple[str, str]]:
    """State and id of what the receiver got about incidents of a type."""
    data = [body["data"] for _, body in hook.taken]
    return [(item["state"], item["id"]) for item in data if item["type"] == kind]


def status(server: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = server.kube.objects[PLACE].get("status", {})
    return found


async def test_a_fault_reaches_people_within_a_minute_and_a_new_leader_goes_on_with_it(
    server: ApiServer, tmp_path: Path
) -> None:
    database, broker, first_port, second_port = ports(4)
    async with receiver() as hook:
        flags = ["--webhook-url", hook.url, "--probe-interval-seconds", "1"]
        one = controller(tmp_path, "shop", port=first_port, identity="one", flags=flags)
        two = controller(tmp_path, "shop", port=second_port, identity="two", flags=flags, wait=False)
        async with one as first, two as second:
            server.put(SECRET, secret(uri=f"postgresql://u:s3cr3t@127.0.0.1:{database}/d?sslmode=disable"))
            began = time.monotonic()
            server.put(RELAY, relay("orders", broker))

            async def both_told() -> bool:
                return bool(told(hook, "DatabaseUnavailable") and told(hook, "BrokerUnavailable"))

            await until(both_told, "two notifications", 60, every=0.05, last=first.text)
            took = time.monotonic() - began
            print(f"from the fault to the notification: {took:.1f} s")
            assert took <= 60

            async def written() -> bool:
                return status(server).get("openIncidents") == 2

            await until(written, "two open incidents in status", 10, every=0.05, last=lambda: status(server))
            before = {item["id"]: item for item in status(server)["incidents"]}
            assert {(item["type"], item["scope"]) for item in before.values()} == {
                ("DatabaseUnavailable", f"127.0.0.1:{database}"),
                ("BrokerUnavailable", f"127.0.0.1:{broker}"),
            }
            assert {identity for _, identity in told(hook, "BrokerUnavailable")} == {
                item["parent"] for item in before.values() if item["type"] == "BrokerUnavailable"
            }
            _, text = await first.get("/metrics")
            assert 'outboxrelay_incidents_open{severity="Critical",type="BrokerUnavailable"} 1.0' in text
            assert 'outboxrelay_notifications_total{receiver="webhook",result="sent"}' in text

            first.process.send_signal(signal.SIGKILL)
            killed = time.monotonic()

            async def failover_told() -> bool:
                return bool(told(hook, "OperatorFailover"))

            await until(failover_told, "notification of the failover", 60, every=0.05, last=second.text)
            print(f"from the leader's death to the notification: {time.monotonic() - killed:.1f} s")
            await asyncio.sleep(12)
            assert {item["id"]: item for item in status(server)["incidents"]} == before
            assert len(told(hook, "DatabaseUnavailable")) == len(told(hook, "BrokerUnavailable")) == 1

            server.delete(RELAY, "shop", "orders")

            async def resolved() -> bool:
                return len(told(hook, "DatabaseUnavailable")) == len(told(hook, "BrokerUnavailable")) == 2

            await until(resolved, "resolution", 20, every=0.05, last=second.text)
            for kind in ("DatabaseUnavailable", "BrokerUnavailable"):
                (opened, name), (closed, same) = told(hook, kind)
                assert (opened, closed, name) == ("Open", "Resolved", same)
        logs = first.text() + second.text()
    assert "s3cr3t" not in logs
    assert hook.url not in logs


async def test_an_operator_whose_watch_is_cut_gives_up_and_its_successor_tells_why(
    server: ApiServer, tmp_path: Path
) -> None:
    database, broker, first_port, second_port = ports(4)
    async with receiver() as hook:
        flags = ["--webhook-url", hook.url]
        one = controller(tmp_path, "shop", port=first_port, identity="one", flags=flags)
        two = controller(tmp_path, "shop", port=second_port, identity="two", flags=flags, wait=False)
        server.put(SECRET, secret(uri=f"postgresql://u:p@127.0.0.1:{database}/d?sslmode=disable"))
        async with one as first, two as second:
            server.cut_the_watch()
            server.put(RELAY, relay("orders", broker))
            cut = time.monotonic()

            async def failover_told() -> bool:
                return bool(told(hook, "OperatorFailover"))

            await until(failover_told, "notification of the failover", 60, every=0.05, last=second.text)
            print(f"from the cut of the watch to the notification: {time.monotonic() - cut:.1f} s")
            messages = [body["data"]["message"] for _, body in hook.taken if body["data"]["type"] == "OperatorFailover"]
            assert messages == [
                (
                    "the leader before was one (gave up: its watch of OutboxRelays was dead); "
                    "relays went on delivering meanwhile"
                )
            ]
            await until(lambda: ended(first), "end of the blind process", 10)


async def ended(process: ControllerProcess) -> bool:
    """Whether it has ended."""
    return process.process.returncode is not None
