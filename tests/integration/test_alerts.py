"""The alerts of the chart, by the real promtool: one for each type of incident; each fires and is silent in time."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from outboxrelay.api.incidents import IncidentType
from outboxrelay.controller.incident_metrics import IncidentMetrics
from outboxrelay.decisions.incidents.kinds import KINDS
from outboxrelay.decisions.incidents.reduce import Incident
from tests.support.prometheus import ALERTS, alerts, prometheus, promtool
from tests.support.relay_process import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.needs_services

ROOT = Path(__file__).parents[2]
OF_RELAYS = [kind for kind in KINDS if kind is not IncidentType.OPERATOR_FAILOVER]
RELAY = 'namespace="shop",relay="orders"'
OPERATOR = 'namespace="ops",job="operator"'


def alert(name: str) -> dict[str, Any]:
    (found,) = [item for item in alerts() if item["alert"] == name]
    return found


def test_promtool_finds_nothing_wrong() -> None:
    done = promtool("check", "rules", str(ALERTS))
    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_of_incident_has_an_alert_as_severe_with_its_own_page(kind: IncidentType) -> None:
    found = alert(f"OutboxRelay{kind}")
    assert found["labels"] == {"severity": KINDS[kind].severity.lower()}
    assert found["annotations"]["runbook_url"] == f"docs/incidents/{kind}.md"
    assert f'type="{kind}"' in found["expr"]
    assert "for" not in found, "the operator has waited already"


@pytest.mark.parametrize("name", [item["alert"] for item in alerts()])
def test_each_alert_says_what_is_wrong_and_has_a_page_that_exists(name: str) -> None:
    found = alert(name)
    assert set(found["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, heading = found["annotations"]["runbook_url"].partition("#")
    text = (ROOT / page).read_text()
    headings = [line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines() if line.startswith("#")]
    assert not heading or heading in headings


def steady(series: str, value: float = 1, minutes: int = 30) -> dict[str, str]:
    """A series that has this value all the time, four times a minute."""
    return {"series": series, "values": f"{value:g}+0x{minutes * 4}"}


def case(name: str, series: list[dict[str, str]], at: str, fires: dict[str, str] | None) -> dict[str, Any]:
    """``name`` fires at that time with these labels beside its severity, or does not where they are None."""
    labels = None if fires is None else {**fires, **alert(name)["labels"]}
    expected = [] if labels is None else [{"exp_labels": labels, "exp_annotations": told(name, fires or {}, series)}]
    test = {"eval_time": at, "alertname": name, "exp_alerts": expected}
    return {"name": f"{name} at {at}", "interval": "15s", "input_series": series, "alert_rule_test": [test]}


def told(name: str, labels: dict[str, str], series: list[dict[str, str]]) -> dict[str, str]:
    """The annotations with labels and value put in."""
    first = re.match(r"[\d.]+", series[0]["values"]) if series else None
    value = VALUES.get(name) or (first[0] if first else "")

    def filled(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)
        return text.replace("{{ $value }}", value)

    return {key: filled(text) for key, text in alert(name)["annotations"].items()}


VALUES = {"OutboxRelayBacklogGrowing": "3200"}
"""Where the value is not that of the first series."""
SHOP = {"namespace": "shop", "relay": "orders"}
OPS = {"namespace": "ops", "job": "operator"}


def incident(kind: IncidentType) -> dict[str, str]:
    labels = f'{RELAY},type="{kind}",severity="{KINDS[kind].severity}",instance="a"'
    return {"series": f"outboxrelay_relay_incidents_open{{{labels}}}", "values": "_x4 1+0x8 stale"}


def opened_and_closed(kind: IncidentType) -> list[dict[str, Any]]:
    name, series = f"OutboxRelay{kind}", [{**incident(kind), "values": "1+0x8 stale"}]
    return [
        case(name, series, "0m", SHOP),
        case(name, series, "2m15s", None),
        case(name, [{**incident(kind), "values": "_x4 1+0x8"}], "45s", None),
    ]


BRIEFLY = {
    "series": 'outboxrelay_incidents_open{type="OperatorFailover",severity="Warning"}',
    "values": "0 1 1 0 0 0 0 0 0 0",
}
LEADING = f"outboxrelay_controller_leading{{{OPERATOR},pod="
WANTED = steady(f'outboxrelay_scaling_desired_replicas{{{RELAY},instance="a"}}', 2)
OTHER_RELAY_SCRAPED = steady('outboxrelay_ready{namespace="shop",relay="billing"}')
BACKLOG = f"outboxrelay_relay_backlog_rows{{{RELAY}}}"
NOTICES = 'outboxrelay_notifications_total{receiver="webhook",result='
LATE = f"outboxrelay_controller_late_seconds_total{{{OPERATOR}}}"
FAILED = f'outboxrelay_controller_reconciles_total{{{OPERATOR},result="failed"}}'
CASES = [
    *(item for kind in OF_RELAYS for item in opened_and_closed(kind)),
    case(
        "OutboxRelayOperatorFailover",
        [steady('outboxrelay_incidents_open{type="OperatorFailover",severity="Warning"}')],
        "1m",
        {},
    ),
    case(
        "OutboxRelayOperatorFailover",
        [steady('outboxrelay_incidents_open{type="OperatorFailover",severity="Warning"}', 0)],
        "1m",
        None,
    ),
    # Half a minute of it is seen by who looks once a minute.
    *(case("OutboxRelayOperatorFailover", [BRIEFLY], at, fires) for at, fires in (("1m15s", {}), ("2m", None))),
    case("OutboxRelayOperatorAbsent", [], "1m", {}),
    case("OutboxRelayOperatorAbsent", [], "45s", None),
    case("OutboxRelayOperatorAbsent", [steady(f'{LEADING}"a"}}', 0)], "10m", None),
    case("OutboxRelayNoLeader", [steady(f'{LEADING}"a"}}', 0), steady(f'{LEADING}"b"}}', 0)], "45s", OPS),
    case("OutboxRelayNoLeader", [steady(f'{LEADING}"a"}}', 0), steady(f'{LEADING}"b"}}', 1)], "10m", None),
    case("OutboxRelayPodsAbsent", [WANTED, OTHER_RELAY_SCRAPED], "2m", SHOP),
    case("OutboxRelayPodsAbsent", [WANTED, OTHER_RELAY_SCRAPED], "1m45s", None),
    case("OutboxRelayPodsAbsent", [WANTED, steady(f"outboxrelay_ready{{{RELAY}}}", 0)], "10m", None),
    # Where no pod is scraped at all, none is missing.
    case("OutboxRelayPodsAbsent", [WANTED], "10m", None),
    case("OutboxRelayBacklogGrowing", [{"series": BACKLOG, "values": "1200+20x120"}], "25m", SHOP),
    case("OutboxRelayBacklogGrowing", [{"series": BACKLOG, "values": "9000-20x120"}], "25m", None),
    case("OutboxRelayBacklogGrowing", [{"series": BACKLOG, "values": "0+5x120"}], "25m", None),
    case("OutboxRelayOperatorLate", [{"series": LATE, "values": "0+9x120"}], "6m", OPS),
    case("OutboxRelayOperatorLate", [{"series": LATE, "values": "0+9x8 72+0x112"}], "6m", None),
    case("OutboxRelayOperatorLate", [{"series": LATE, "values": "0+6x120"}], "20m", None),
    case("OutboxRelayReconcilesFail", [{"series": FAILED, "values": "0+1x120"}], "12m", OPS),
    case("OutboxRelayReconcilesFail", [{"series": FAILED, "values": "5+0x120"}], "12m", None),
    *(
        case(
            "OutboxRelayNotificationsFail",
            [{"series": f'{NOTICES}"{result}"}}', "values": "0+1x120"}],
            "8m",
            {"receiver": "webhook"} if fails else None,
        )
        for result, fails in (("failed", True), ("dropped", True), ("sent", False))
    ),
]


def test_each_alert_fires_when_it_should_and_not_before_or_after(tmp_path: Path) -> None:
    tested = {item["alert_rule_test"][0]["alertname"] for item in CASES if item["alert_rule_test"][0]["exp_alerts"]}
    assert tested == {item["alert"] for item in alerts()}
    file = tmp_path / "alerts_test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": CASES}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_sees_an_alert_that_should_not_have_fired(tmp_path: Path) -> None:
    wrong = case("OutboxRelayOperatorAbsent", [], "10m", None)
    file = tmp_path / "alerts_test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [wrong]}))
    assert promtool("test", "rules", str(file)).returncode != 0


async def test_the_real_prometheus_fires_each_alert_of_an_incident_and_takes_it_back(tmp_path: Path) -> None:
    exported = CollectorRegistry()
    metrics = IncidentMetrics(exported)
    opened = [(place_of(kind), incident_of(kind)) for kind in KINDS]
    metrics.follow(lambda: opened, dict)
    wanted = {f"OutboxRelay{kind}" for kind in KINDS}
    async with exposition(exported) as port:
        job = {"job_name": "operator", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        async with prometheus(tmp_path, free_port(), [job]) as running:
            fired: list[dict[str, Any]] = []

            async def as_many_fire(names: set[str]) -> bool:
                # That nobody leads is no incident.
                found = await running.alerts()
                fired[:] = [item for item in found if item["labels"]["alertname"] != "OutboxRelayOperatorAbsent"]
                return {item["labels"]["alertname"] for item in fired} == names

            await until(lambda: as_many_fire(wanted), "alerts", 60, every=0.5, last=lambda: fired)
            places = {item["labels"]["alertname"]: item["labels"].get("relay") for item in fired}
            assert places == {f"OutboxRelay{kind}": (place_of(kind) or (None, None))[1] for kind in KINDS}
            opened.clear()
            await until(lambda: as_many_fire(set()), "end of the alerts", 60, every=0.5, last=lambda: fired)


def place_of(kind: IncidentType) -> tuple[str, str] | None:
    """A relay for each type; a failover of the operator belongs to none."""
    return None if kind is IncidentType.OPERATOR_FAILOVER else ("shop", str(kind).lower())


def incident_of(kind: IncidentType) -> Incident:
    now = datetime.now(UTC)
    return Incident(
        id="1",
        type=str(kind),
        scope="",
        severity=str(KINDS[kind].severity),
        started_at=now,
        detected_at=now,
        reason=str(kind),
        message="",
    )


@asynccontextmanager
async def exposition(exported: CollectorRegistry) -> AsyncIterator[int]:
    """/metrics of what the operator exports of incidents; gives its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(exported), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
