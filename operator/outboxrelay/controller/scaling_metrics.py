"""Numbers of scaling, for Prometheus: one series of each kind for a relay, gone when the relay is."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from outboxrelay.api.status import ScalingStep
from outboxrelay.decisions.autoscaling.values import ScalingFacts
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Finding

RELAY = ("namespace", "relay")
STEPS = ("ScaledUp", "ScaledDown", "ScaleReverted", "ScaledToZero", "Woken")


class ScalingMetrics:
    """Series of the relays that this process looks after."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._desired = Gauge(
            "outboxrelay_scaling_desired_replicas", "Pods that are asked for.", RELAY, registry=registry
        )
        self._need = Gauge(
            "outboxrelay_scaling_need_rows_per_second", "Rows per second that are needed.", RELAY, registry=registry
        )
        self._capacity = Gauge(
            "outboxrelay_scaling_capacity_rows_per_second",
            "Rows per second that one pod delivers at most.",
            RELAY,
            registry=registry,
        )
        self._active = Gauge(
            "outboxrelay_scaling_active",
            "1 while the number of pods follows the backlog, 0 while the reason keeps it from that.",
            (*RELAY, "reason"),
            registry=registry,
        )
        self._steps = Counter(
            "outboxrelay_scaling_steps", "Changes of the number of pods, by kind.", (*RELAY, "kind"), registry=registry
        )
        self._reasons: dict[Key, str] = {}

    def decided(self, key: Key, wanted: int, facts: ScalingFacts, finding: Finding) -> None:
        """The relay was looked at."""
        self._desired.labels(*key).set(wanted)
        decision = facts.decision
        for gauge, value in (
            (self._need, decision.estimate.need if decision else None),
            (self._capacity, decision.estimate.capacity if decision else None),
        ):
            if value is None:
                _remove(gauge, *key)
            else:
                gauge.labels(*key).set(value)
        before = self._reasons.get(key)
        if before not in (None, finding.reason):
            _remove(self._active, *key, str(before))
        self._reasons[key] = finding.reason
        self._active.labels(*key, finding.reason).set(1 if finding.status == "True" else 0)

    def stepped(self, key: Key, step: ScalingStep) -> None:
        """The number of pods was changed."""
        self._steps.labels(*key, step.reason).inc()

    def forget(self, key: Key) -> None:
        """The relay is gone."""
        for gauge in (self._desired, self._need, self._capacity):
            _remove(gauge, *key)
        if (reason := self._reasons.pop(key, None)) is not None:
            _remove(self._active, *key, reason)
        for kind in STEPS:
            _remove(self._steps, *key, kind)

    def clear(self) -> None:
        """No relay is looked after any more."""
        for metric in (self._desired, self._need, self._capacity, self._active, self._steps):
            metric.clear()
        self._reasons.clear()


def _remove(metric: Gauge | Counter, *labels: str) -> None:
    """Without a complaint where there is no such series."""
    try:
        metric.remove(*labels)
    except KeyError:
        return
