"""The console in the operator's pods: enabled by a value of the chart, reached by kubectl port-forward alone."""

import json
import re
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.kubectl import Object
from tests.support.port_forward import forwarded
from tests.support.release import NAMESPACE, Operator
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

PORT = 8081


@pytest.fixture(scope="module")
def shown(operator: Operator, image: str) -> Iterator[Operator]:
    """The operator with its console."""
    operator.install(image, console__enabled="true")
    yield operator
    operator.install(image)


async def fetched(url: str, host: str = "localhost") -> tuple[int, str]:
    """Status and text of a page."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers={"Host": host}) as answer:
        return answer.status, await answer.text()


async def standby(operator: Operator, leader: str) -> Object:
    """The pod that does not lead."""

    async def probe() -> Object | None:
        return next((pod for pod in await operator.pods() if pod["metadata"]["name"] != leader), None)

    return await until(probe, "pod of the operator that stands by", 30)


async def test_a_forwarded_port_shows_relays_and_their_pods_and_the_standby_leads_to_it(
    stand: Stand, shown: Operator
) -> None:
    line = await stand.line()
    await line.start()
    (pod,) = await line.pods()
    leader = (await shown.leading_pod())["metadata"]["name"]
    other = (await standby(shown, leader))["metadata"]["name"]

    async with forwarded(shown.kubectl, f"pod/{other}", PORT) as url:

        async def directed() -> list[tuple[str, str, str]]:
            status, text = await fetched(url)
            assert (status, f"/relays/{stand.name}" in text) == (200, False)
            return re.findall(r"kubectl -n (\S+) port-forward (\S+) (\d+)", text)

        [(namespace, target, port)] = await until(directed, "command of the standby that leads to the leader", 30)
    assert (namespace, target, port) == (NAMESPACE, f"pod/{leader}", str(PORT))

    async with forwarded(shown.kubectl, target, int(port)) as url:

        async def told() -> str:
            _, text = await fetched(f"{url}/relays/{stand.name}/{line.name}")
            return text if "Accepted=True" in text and pod["metadata"]["name"] in text and ">16/16<" in text else ""

        page = await until(told, "relay, its conditions and what its pod says of itself on the console", 60)
        assert "Idle" in page
        _, fleet = await fetched(url)
        assert f"/relays/{stand.name}/{line.name}" in fleet
        assert (await fetched(f"{url}/incidents"))[0] == (await fetched(f"{url}/chains"))[0] == 200
        assert (await fetched(f"{url}/console.css"))[0] == 200
        assert (await fetched(url, host="evil.example"))[0] == 403


async def test_no_other_way_leads_to_the_console(shown: Operator, local: Rig) -> None:
    pod = await shown.leading_pod()
    address = pod["status"]["podIP"]
    assert (await fetched(f"http://{address}:8080/readyz"))[0] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetched(f"http://{address}:{PORT}")
    services = await shown.kubectl.run("get", "services", "-o", "json")
    assert str(PORT) not in json.dumps([item["spec"] for item in json.loads(services)["items"]])
