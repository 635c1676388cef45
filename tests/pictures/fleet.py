"""Thirty OutboxRelays in mixed states, as an operator would have written them."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from outboxrelay.api.incidents import IncidentType
from outboxrelay.api.names import Condition, Reason
from outboxrelay.decisions.backlog import lag_display, rows_display
from outboxrelay.decisions.incidents.status import stamp
from tests.support.merging import merged
from tests.support.relay_bodies import relay_body

Object = dict[str, Any]
SPACES = ("shop", "payments", "logistics")
BROKER = "Kafka at kafka-0.kafka.svc:9092: no broker answered within 3 s"


class Sketch(NamedTuple):
    """One relay in a few words. Lag in seconds, rates in rows per second."""

    name: str
    space: str
    reason: str = Reason.DELIVERING
    lag: int | None = 1
    backlog: int | None = 40
    rate: int = 300
    arriving: int = 300
    pods: str = "2/2/8"
    message: str = ""
    incidents: tuple[tuple[str, str, str], ...] = ()
    """Type, severity, message."""
    held: int = 0
    quarantined: int = 0
    status: str = "True"
    labels: dict[str, str] = {}
    spec: Object = {}
    silent: bool = False
    """No operator has written a status yet."""


def _chained(stage: int) -> dict[str, str]:
    return {"outboxrelay.dev/chain": "checkout", "outboxrelay.dev/chain-stage": str(stage)}


CRITICAL, WARNING = "Critical", "Warning"
DOWN = ((IncidentType.BROKER_UNAVAILABLE.value, CRITICAL, BROKER),)
SKETCHES = (
    Sketch("orders", "shop", rate=2400, arriving=2400, backlog=310, pods="3/3/8", labels=_chained(1)),
    Sketch("order-lines", "shop", lag=4, backlog=5200, rate=1800, arriving=2100, pods="2/2/8", labels=_chained(1)),
    Sketch("carts", "shop", Reason.IDLE, lag=0, backlog=0, rate=0, arriving=0, pods="1/1/8"),
    Sketch("catalog", "shop", Reason.IDLE, lag=0, backlog=0, rate=0, arriving=0, pods="1/1"),
    Sketch(
        "catalog-prices-nightly",
        "shop",
        lag=95,
        backlog=48_000,
        rate=3900,
        arriving=900,
        pods="8/8/8",
        incidents=((IncidentType.LAG_OBJECTIVE_MISSED, CRITICAL, "the oldest row waits for 95 s"),),
    ),
    Sketch("customers", "shop", rate=55, arriving=54, backlog=3, pods="1/1/4"),
    Sketch(
        "gift-cards",
        "shop",
        Reason.STOPPED,
        lag=7300,
        backlog=120,
        rate=0,
        arriving=0,
        pods="0/0",
        status="False",
        message="spec.state is Stopped; set it to Running to deliver",
    ),
    Sketch(
        "reviews",
        "shop",
        Reason.PAUSED,
        lag=610,
        backlog=900,
        rate=0,
        arriving=2,
        pods="1/1",
        status="False",
        message="spec.state is Paused; set it to Running to deliver",
    ),
    Sketch(
        "search-index",
        "shop",
        lag=2,
        backlog=61,
        rate=410,
        arriving=410,
        quarantined=3,
        incidents=((IncidentType.POISON_ROWS, WARNING, "3 rows are in quarantine"),),
    ),
    Sketch(
        "stock",
        "shop",
        lag=130,
        backlog=7400,
        rate=52,
        arriving=90,
        held=2,
        pods="4/4/4",
        labels=_chained(2),
        incidents=(
            (IncidentType.LAG_OBJECTIVE_MISSED, CRITICAL, "the oldest row waits for 130 s"),
            (IncidentType.POISON_ROWS, WARNING, "2 keys are held by a row that cannot be sent"),
        ),
    ),
    Sketch("wishlists", "shop", rate=12, arriving=12, backlog=1, lag=0, pods="1/1/8"),
    Sketch("accounts", "payments", rate=140, arriving=140, backlog=9, pods="2/2/8"),
    Sketch(
        "captures",
        "payments",
        Reason.BROKER_UNAVAILABLE,
        lag=185,
        backlog=34_000,
        rate=0,
        arriving=180,
        pods="3/3/8",
        status="False",
        message=BROKER,
        incidents=DOWN,
    ),
    Sketch(
        "disputes",
        "payments",
        Reason.BROKER_UNAVAILABLE,
        lag=171,
        backlog=410,
        rate=0,
        arriving=2,
        pods="1/1/8",
        status="False",
        message=BROKER,
        incidents=DOWN,
    ),
    Sketch(
        "fraud-scores",
        "payments",
        Reason.BROKER_UNAVAILABLE,
        lag=184,
        backlog=100_000,
        rate=0,
        arriving=900,
        pods="8/8/8",
        status="False",
        message=BROKER,
        incidents=DOWN,
    ),
    Sketch(
        "invoices",
        "payments",
        Reason.AUTHENTICATION_FAILED,
        lag=None,
        backlog=None,
        rate=0,
        arriving=0,
        pods="2/2/8",
        status="False",
        message="PostgreSQL at db-billing:5432: role invoices_relay: password authentication failed",
        incidents=((IncidentType.DATABASE_ACCESS_DENIED, CRITICAL, "password authentication failed"),),
    ),
    Sketch(
        "ledger",
        "payments",
        lag=1,
        backlog=120,
        rate=5100,
        arriving=5100,
        pods="4/4/8",
        spec={"dependsOn": ["captures"]},
    ),
    Sketch(
        "payouts",
        "payments",
        Reason.NO_PROGRESS,
        lag=420,
        backlog=63,
        rate=0,
        arriving=1,
        pods="1/1/8",
        status="False",
        message="rows wait and none was delivered for 25 s; look at the logs of the relay's pods",
        incidents=((IncidentType.NO_PROGRESS, CRITICAL, "rows wait and none was delivered for 25 s"),),
    ),
    Sketch("refunds", "payments", Reason.IDLE, lag=0, backlog=0, rate=0, arriving=0, pods="1/1/8"),
    Sketch(
        "risk",
        "payments",
        Reason.PROBE_STALE,
        lag=12,
        backlog=77,
        rate=0,
        arriving=0,
        pods="1/1/8",
        status="Unknown",
        message="the database has not been asked for more than 15 s",
    ),
    Sketch(
        "settlements",
        "payments",
        Reason.SECRET_NOT_FOUND,
        lag=None,
        backlog=None,
        rate=0,
        arriving=0,
        pods="0/1",
        status="False",
        message="there is no Secret settlements-db in namespace payments; create it",
        incidents=((IncidentType.SECRET_MISSING, CRITICAL, "there is no Secret settlements-db"),),
    ),
    Sketch("taxes", "payments", rate=31, arriving=31, backlog=2, lag=0, pods="1/1"),
    Sketch("carriers", "logistics", Reason.IDLE, lag=0, backlog=0, rate=0, arriving=0, pods="0/0/2"),
    Sketch(
        "customs",
        "logistics",
        Reason.IMAGE_PULL_FAILED,
        lag=66,
        backlog=14,
        rate=0,
        arriving=0,
        pods="0/1",
        status="False",
        message="pod customs-relay-7d4: image registry.example/outboxrelay:0.2 cannot be pulled",
        incidents=((IncidentType.RELAY_IMAGE_PULL_FAILED, CRITICAL, "the image cannot be pulled"),),
    ),
    Sketch("parcels", "logistics", lag=6, backlog=2100, rate=1200, arriving=1250, pods="3/4/8"),
    Sketch("pick-lists", "logistics", rate=85, arriving=85, backlog=7, pods="1/1/8"),
    Sketch(
        "returns",
        "logistics",
        Reason.CRASH_LOOPING,
        lag=240,
        backlog=380,
        rate=0,
        arriving=2,
        pods="0/1/8",
        status="False",
        message="pod returns-relay-5f9 ended 6 times, the last time with exit code 137 (OOMKilled)",
        incidents=((IncidentType.RELAY_CRASH_LOOPING, CRITICAL, "it ended 6 times"),),
    ),
    Sketch("shipments", "logistics", lag=2, backlog=150, rate=640, arriving=640, pods="2/2/8"),
    Sketch("tracking", "logistics", lag=3, backlog=980, rate=8200, arriving=8200, pods="6/6/8"),
    Sketch("warehouses", "logistics", Reason.PENDING, silent=True),
)


def bodies(now: datetime) -> list[Object]:
    """The OutboxRelays, each with its status."""
    return [_body(sketch, now) for sketch in SKETCHES]


def _body(sketch: Sketch, now: datetime) -> Object:
    table = {"source": {"table": {"name": f"{sketch.name.replace('-', '_')[:40]}_outbox"}}}
    target = {"target": {"topic": f"{sketch.space}.{sketch.name}"}}
    body = relay_body(sketch.name, **merged(merged(table, target), sketch.spec))
    body["metadata"] = {"namespace": sketch.space, "name": sketch.name, "labels": sketch.labels}
    return body if sketch.silent else body | {"status": _status(sketch, now)}


def _status(sketch: Sketch, now: datetime) -> Object:
    ready, desired = (int(part) for part in sketch.pods.split("/")[:2])
    status: Object = {
        "replicas": desired,
        "readyReplicas": ready,
        "held": {"keys": sketch.held},
        "quarantinedRows": sketch.quarantined,
        "scaling": {
            "desiredReplicas": desired,
            "summary": sketch.pods,
            "lastDecision": _decision(sketch, desired, now),
        },
        "openIncidents": len(sketch.incidents),
        "incidents": [_incident(sketch, now, *item) for item in sketch.incidents],
        "conditions": [_condition(sketch, now)],
    }
    if sketch.backlog is not None:
        status["backlog"] = {
            "rows": sketch.backlog,
            "exact": sketch.backlog < 100_000,
            "display": rows_display(sketch.backlog, sketch.backlog < 100_000),
            "oldestAgeSeconds": sketch.lag,
            "lagDisplay": lag_display(sketch.lag),
            "deliveredPerSecond": sketch.rate,
            "observedAt": stamp(now),
        }
    return status


def _decision(sketch: Sketch, desired: int, now: datetime) -> Object:
    return {
        "at": stamp(now),
        "replicas": desired,
        "desired": desired,
        "reason": "Active",
        "message": "as many as are needed",
        "arrivingPerSecond": sketch.arriving,
        "minimum": 1,
        "maximum": 8,
        "maximumFrom": "scaling.maxReplicas",
    }


def _condition(sketch: Sketch, now: datetime) -> Object:
    idle = sketch.reason == Reason.IDLE
    return {
        "type": Condition.READY.value,
        "status": sketch.status,
        "reason": str(sketch.reason),
        "message": sketch.message or ("nothing waits in the table" if idle else "rows are being delivered"),
        "lastTransitionTime": stamp(now - timedelta(minutes=3)),
    }


def _incident(sketch: Sketch, now: datetime, kind: str, severity: str, message: str) -> Object:
    start = now - timedelta(seconds=sketch.lag or 300)
    incident: Object = {
        "id": f"{kind}-{sketch.name}"[:60],
        "type": str(kind),
        "severity": severity,
        "state": "Open",
        "startedAt": stamp(start),
        "detectedAt": stamp(start + timedelta(seconds=5)),
        "reason": str(sketch.reason),
        "message": message,
        "runbook": f"docs/incidents/{kind}.md",
    }
    return incident | ({"parent": "BrokerUnavailable-kafka-0"} if kind == IncidentType.BROKER_UNAVAILABLE else {})
