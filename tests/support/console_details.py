"""A relay with everything in its status that a page can show."""

from datetime import datetime, timedelta
from typing import Any

from outboxrelay.decisions.incidents.status import stamp

Object = dict[str, Any]
CONDITIONS = (
    ("Ready", "True", "Delivering", "rows are being delivered"),
    ("Accepted", "True", "Accepted", "the spec is valid and is carried out"),
    ("SourceReachable", "True", "Connected", "the database answers"),
    ("TargetReachable", "True", "Connected", "the brokers answer"),
    ("Available", "True", "MinimumReplicasReady", "4 of 4 pods are ready"),
    ("Delivering", "True", "Progressing", "rows are being delivered"),
    ("LagWithinObjective", "False", "ObjectiveMissed", "the oldest row waits for 130 s; maxLagSeconds is 30"),
    ("ScalingActive", "False", "AtMaximum", "5 pods are needed and 4 is the most (scaling.maxReplicas)"),
    ("RolledOut", "False", "WaitingForTurn", "its pods are replaced when those of 5 other relays are done"),
    ("Quarantined", "True", "PoisonRows", "2 keys are held by a row that cannot be sent; see status.held"),
)
GATES = (
    ("MetricsUnavailable", False, "the newest numbers are 2 s old"),
    ("TargetDown", False, "the brokers answer"),
    ("SourceSaturated", False, "the slowest reads take 12 ms"),
    ("NoProgress", False, "52 rows/s are delivered"),
    ("RecoveryRamp", False, "no pod ramps up"),
    ("Ineffective", False, "the last step up brought what it promised"),
    ("ScaleUp", True, "5 pods are wanted and 4 is the most"),
    ("ScaleDown", False, "fewer are not enough"),
    ("ScaleToZero", False, "scaling.minReplicas is 1"),
)


def detailed(body: Object, now: datetime) -> Object:
    """``body`` with all conditions, held rows, notices, an incident that ended, and a decision with its numbers."""

    def at(seconds: int) -> str:
        return stamp(now - timedelta(seconds=seconds))

    status = body["status"]
    status["conditions"] = [
        {"type": kind, "status": value, "reason": reason, "message": text, "lastTransitionTime": at(190)}
        for kind, value, reason, text in CONDITIONS
    ]
    status["held"]["examples"] = [
        "row 88121, key 'sku-4711': RowTooLarge: 2000000 bytes, the topic takes 1048588",
        "row 88190, key 'sku-0815': RowUnmappable: column headers holds no JSON object",
    ]
    status["limitations"] = ["there is no schema outboxrelay: attempts are not remembered; run outboxrelay sql"]
    status["notices"] = ["an open transaction holds rows back: pid 4711 (user shop, application report) for 95 s"]
    ended = {**status["incidents"][0], "id": "ended", "type": "BrokerUnavailable", "state": "Resolved"}
    ended |= {
        "startedAt": at(2900),
        "detectedAt": at(2890),
        "resolvedAt": at(2700),
        "parent": "shared",
        "occurrences": 2,
    }
    ended |= {"message": "Kafka at kafka-0.kafka.svc:9092: no broker answered within 3 s"}
    ended |= {"runbook": "https://books.example/incidents/BrokerUnavailable.md"}
    status["incidents"].append(ended)
    step = {"at": at(240), "from": 3, "to": 4, "reason": "ScaledUp"}
    status["scaling"] |= {
        "mode": "Auto",
        "lastStep": step
        | {"message": "3 to 4 pods: more pods are needed to keep up (7400 rows wait, 90 rows/s arrive)"},
        "lastDecision": {
            "at": at(4),
            "replicas": 4,
            "desired": 4,
            "reason": "AtMaximum",
            "backlogRows": 7400,
            "lagSeconds": 130,
            "message": "5 pods are needed and 4 is the most (scaling.maxReplicas)",
            "deliveredPerSecond": 52,
            "arrivingPerSecond": 90,
            "capacityPerSecond": 74,
            "capacityLearned": True,
            "busyPercent": 96,
            "fullPercent": 88,
            "readMilliseconds": 12,
            "podStartSeconds": 6,
            "needPerSecond": 340,
            "want": 5,
            "minimum": 1,
            "maximum": 4,
            "maximumFrom": "scaling.maxReplicas",
            "gates": [{"name": name, "shut": shut, "detail": detail} for name, shut, detail in GATES],
        },
    }
    return body
