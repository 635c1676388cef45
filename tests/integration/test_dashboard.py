"""The dashboard and the alerts on the real Prometheus, which scrapes a real relay and a real operator."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from outboxrelay.api.names import RELAY_PORT
from outboxrelay.manifests.kinds import POD, RELAY, SECRET
from tests.support.api_server import api_server
from tests.support.controller_process import controller
from tests.support.prometheus import ALERTS, DASHBOARD, Prometheus, alerts, prometheus, promtool
from tests.support.receivers import receiver
from tests.support.relay_bodies import pod_body, relay_body, secret
from tests.support.relay_line import relay_line
from tests.support.relay_process import RelayProcess, free_port
from tests.support.waiting import until

pytestmark = pytest.mark.needs_services

ROOT = Path(__file__).parents[2]
GRAFANA = {"$__rate_interval": "1m", "$namespace": "shop", "$relay": "orders"}
"""What Grafana puts in, with one relay chosen."""
METRIC = re.compile(r"\b(?:outboxrelay|process)_[a-z_]+")
INSERT = """INSERT INTO outbox (aggregate_id, event_type, payload)
  SELECT 'k' || i % 50, 'T', jsonb_build_object('number', i) FROM generate_series(1, 200) AS i"""


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Title of the panel, and expression, of everything that Grafana asks."""
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def variables() -> Iterator[tuple[str, str]]:
    """Name, and expression whose series have the values."""
    for item in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if item["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", item["query"]["query"])
            assert found is not None, item["query"]
            assert found[2] == item["name"]
            yield item["name"], found[1]


def filled(expression: str) -> str:
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def documented() -> set[str]:
    """Every series that docs/metrics.md has."""
    found: set[str] = set()
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if row := re.match(r"\| `(\w+)` \| (\w+) \|", line):
            endings = ("_bucket", "_sum", "_count") if row[2] == "histogram" else ("",)
            found |= {f"{row[1]}{ending}" for ending in endings}
    return found


@pytest.mark.parametrize("place", ["alerts", "dashboard"])
def test_every_metric_that_is_asked_for_is_in_the_list_of_metrics(place: str) -> None:
    asked = [rule["expr"] for rule in alerts()] if place == "alerts" else [text for _, text in queries()]
    if place == "dashboard":
        asked += [text for _, text in variables()]
    named = {name for text in asked for name in METRIC.findall(text)}
    assert named
    assert named - documented() == set()


def test_panels_have_titles_and_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_scrape_configuration_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "scrape_configs" in block]
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text())
    # Debian builds Prometheus without what finds pods; what is done with their labels is checked all the same.
    checked = text.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: [{targets: [localhost]}]")
    assert checked != text
    (tmp_path / "prometheus.yaml").write_text(checked)
    done = promtool("check", "config", str(tmp_path / "prometheus.yaml"))
    assert done.returncode == 0, done.stderr
    operator, relays = yaml.safe_load(text)["scrape_configs"]
    assert operator["honor_labels"] is True
    assert {"relay", "namespace"} <= {item.get("target_label") for item in relays["relabel_configs"]}


@pytest.fixture
async def scraped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Prometheus]:
    """Prometheus, an operator with a relay that delivers and one without a database, and the pod of the first."""
    async with AsyncExitStack() as open_:
        server, kubeconfig = await open_.enter_async_context(api_server(tmp_path))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        line = await open_.enter_async_context(relay_line(tmp_path))
        hook = await open_.enter_async_context(receiver())
        await line.database.execute((ROOT / "examples/outbox.sql").read_text())
        await line.install()
        target = {"bootstrapServers": line.servers.split(","), "topic": line.topic}
        orders = relay_body("orders", target=target, source=database("source"))
        server.put(SECRET, secret("source", uri=line.uri))
        server.put(SECRET, secret("gone", uri=f"postgresql://u:p@127.0.0.1:{free_port()}/d?sslmode=disable"))
        server.put(RELAY, orders)
        server.put(RELAY, relay_body("gone", target=target, source={**database("gone"), "table": {"name": "other"}}))
        # The operator asks pods for their reports at this port, so that it knows what the relay can do.
        body = pod_body(podIP="127.0.0.1")
        server.put(POD, body)
        pod = RelayProcess(tmp_path, orders, line.uri, body["metadata"]["name"], port=RELAY_PORT)
        open_.enter_context(pod)
        port = free_port()
        flags = ["--probe-interval-seconds", "1", "--webhook-url", hook.url]
        await open_.enter_async_context(controller(tmp_path, "shop", port=port, flags=flags))
        await asyncio.to_thread(pod.wait_ready)
        jobs: list[dict[str, Any]] = [
            {"job_name": "operator", "honor_labels": True, "static_configs": [target_of(port, namespace="ops")]},
            {"job_name": "relays", "static_configs": [target_of(pod.port, namespace="shop", relay="orders")]},
        ]
        running = await open_.enter_async_context(prometheus(tmp_path, free_port(), jobs))
        writer = asyncio.create_task(write(line.database))
        yield running
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


def database(name: str) -> dict[str, Any]:
    return {"database": {"uriSecretRef": {"name": name, "key": "uri"}}}


def target_of(port: int, **labels: str) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": labels}


async def write(database: Any) -> None:
    """Rows all the time."""
    while True:
        await database.execute(INSERT)
        await asyncio.sleep(0.2)


async def test_every_query_returns_data_and_an_alert_tells_of_the_relay_without_a_database(scraped: Prometheus) -> None:
    open_queries = dict.fromkeys(queries())
    for name, expression in variables():
        open_queries[f"variable {name}", expression] = None

    async def all_answered() -> bool:
        for title, expression in list(open_queries):
            found = await scraped.query(filled(expression))
            if found and all(item["value"][1] != "NaN" for item in found):
                del open_queries[title, expression]
        return not open_queries

    # Seconds are no promise here: rates need two scrapes, an incident two looks, and the machine may be busy.
    await until(all_answered, "answer to every query", 90, every=1, last=lambda: list(open_queries))

    fired: list[dict[str, Any]] = []

    async def told() -> bool:
        fired[:] = [item for item in await scraped.alerts() if item["labels"]["alertname"].endswith("Unavailable")]
        return bool(fired)

    await until(told, "alert", 60, every=1, last=lambda: fired)
    (alert,) = fired
    assert alert["labels"] == {
        "alertname": "OutboxRelayDatabaseUnavailable",
        "severity": "critical",
        "namespace": "shop",
        "relay": "gone",
    }
    assert alert["annotations"]["summary"] == "shop/gone: database does not answer"
    names = {item["labels"]["alertname"] for item in await scraped.alerts()}
    assert not names & {"OutboxRelayOperatorAbsent", "OutboxRelayNoLeader", "OutboxRelayNotificationsFail"}
