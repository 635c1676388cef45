"""The console of real operators, a leader and a standby: off unless it is asked for, and on the loopback only."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from outboxrelay.manifests.kinds import RELAY
from tests.support.api_server import api_server
from tests.support.controller_process import controller
from tests.support.relay_bodies import relay_body
from tests.support.relay_process import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.needs_services


async def page(port: int, path: str = "/") -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://localhost:{port}{path}") as answer:
        return await answer.text()


async def test_the_leader_shows_the_fleet_and_the_standby_who_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = free_port(), free_port()
    async with AsyncExitStack() as open_:
        server, kubeconfig = await open_.enter_async_context(api_server(tmp_path))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        server.put(RELAY, relay_body("orders"))
        flags = ["--console-port", str(one), "--probe-interval-seconds", "1"]
        leader = await open_.enter_async_context(
            controller(tmp_path, "shop", port=free_port(), identity="leader-1", flags=flags)
        )

        async def told() -> bool:
            text = await page(one, "/relays/shop/orders")
            return "SecretNotFound" in text and "Accepted=False" in text and "Nothing is known yet" in text

        await until(told, "relay without its Secret on the console", 30, last=leader.text)
        assert ">orders<" in await page(one)
        flags = ["--console-port", str(other)]
        await open_.enter_async_context(
            controller(tmp_path, "shop", port=free_port(), identity="standby-1", wait=False, flags=flags)
        )

        async def names_the_leader() -> bool:
            try:
                return f"kubectl -n shop port-forward pod/leader-1 {other}" in await page(other)
            except aiohttp.ClientError:
                return False

        await until(names_the_leader, "standby that names the leader", 30)
        assert ">orders<" not in await page(other)
        assert await leader.stop() == 0

        async def leads() -> bool:
            return ">orders<" in await page(other)

        await until(leads, "standby that leads and shows the fleet", 30)


async def test_without_a_port_nothing_is_served_but_health_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path) as (_, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        async with controller(tmp_path, "shop", port=free_port()) as running:
            assert "console_served" not in running.text()
            assert (await running.get("/"))[0] == 404
            assert len(await listening(running.process.pid)) == 1


async def test_a_port_that_is_taken_is_told_with_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server(tmp_path) as (_, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with taken:
            flags = ["--console-port", str(taken.sockets[0].getsockname()[1])]
            async with controller(tmp_path, "shop", port=free_port(), wait=False, flags=flags) as running:
                assert await asyncio.wait_for(running.process.wait(), 30) == 1
                assert "give another --console-port, or end what listens there" in running.text()


async def listening(pid: int) -> set[int]:
    """Ports on which a process listens."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in inodes:
                found.add(int(cells[1].rpartition(":")[2], 16))
    return found
