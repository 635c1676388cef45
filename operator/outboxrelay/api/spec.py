"""The OutboxRelay resource as users write it. crds/outboxrelays.yaml is generated from these models."""

import re
from typing import Literal

from pydantic import ConfigDict

from outboxrelay.api.isolation import CRITICAL_PODS, DependsOn, Isolation
from outboxrelay.api.layout import PRESET_TEMPLATES
from outboxrelay.api.model import ApiModel
from outboxrelay.api.policy import Flow, Ordering, Poison, Retry
from outboxrelay.api.scaling import CONNECTIONS_PER_POD, Objectives, Scaling
from outboxrelay.api.source import Source
from outboxrelay.api.target import Target
from outboxrelay.api.template import Template
from outboxrelay.api.validation import Rule, check_rules, rules

SPEC_RULES = (
    Rule(
        "!has(self.scaling.replicas) || self.ordering.mode == 'None' || self.scaling.replicas <= self.ordering.shards",
        "scaling.replicas must not exceed ordering.shards: a replica without a shard has nothing to do",
    ),
    Rule(
        "has(self.target.topic) || has(self.target.topicTemplate) || self.source.table.preset == 'Debezium'",
        "target needs topic or topicTemplate (only preset Debezium brings a template of its own)",
    ),
    Rule(
        "self.ordering.mode == 'None' || self.scaling.minReplicas <= self.ordering.shards",
        "scaling.minReplicas must not exceed ordering.shards: a replica without a shard has nothing to do",
    ),
    Rule(
        f"self.scaling.minReplicas * {CONNECTIONS_PER_POD} <= self.source.database.maxConnections",
        f"source.database.maxConnections must allow {CONNECTIONS_PER_POD} connections for each of scaling.minReplicas",
    ),
    Rule(
        "self.isolation.tier != 'Critical' || (self.scaling.minReplicas > 0 && "
        "(!has(self.scaling.replicas) || self.scaling.replicas > 0))",
        "isolation.tier Critical always runs pods: scaling.replicas and scaling.minReplicas must not be 0; "
        "set state to Stopped to run none",
    ),
    Rule(
        f"self.isolation.tier != 'Critical' || (self.scaling.maxReplicas >= {CRITICAL_PODS} && "
        f"self.source.database.maxConnections >= {CRITICAL_PODS * CONNECTIONS_PER_POD})",
        f"isolation.tier Critical runs {CRITICAL_PODS} pods at least: scaling.maxReplicas must be {CRITICAL_PODS} or "
        f"more, and source.database.maxConnections {CRITICAL_PODS * CONNECTIONS_PER_POD} or more",
    ),
)
STEADY_RULES = (
    Rule(
        "(has(self.target.topic) ? self.target.topic : '') == (has(oldSelf.target.topic) ? oldSelf.target.topic : '') "
        "&& (has(self.target.topicTemplate) ? self.target.topicTemplate : '') == "
        "(has(oldSelf.target.topicTemplate) ? oldSelf.target.topicTemplate : '') || oldSelf.state == 'Stopped'",
        "target.topic may change only while state is Stopped: pods of both topics would run side by side",
    ),
    Rule(
        "self.ordering.mode == oldSelf.ordering.mode || oldSelf.state == 'Stopped'",
        "ordering.mode may change only while state is Stopped: pods of both modes would send the same rows",
    ),
)


class OutboxRelaySpec(ApiModel):
    """What is carried from where to where, and how."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *SPEC_RULES,
            *STEADY_RULES,
        )
    )

    state: Literal["Running", "Paused", "Stopped"] = "Running"
    """Running delivers; Paused keeps pods and connections but reads nothing; Stopped runs no pod."""
    source: Source
    """Where events come from."""
    target: Target
    """Where events go."""
    ordering: Ordering = Ordering()
    """How order is kept."""
    retry: Retry = Retry()
    """How long the relay waits before it tries again."""
    poison: Poison = Poison()
    """What happens to a row that cannot be sent."""
    flow: Flow = Flow()
    """How fast the relay may go."""
    scaling: Scaling = Scaling()
    """How many relay pods share the work."""
    objectives: Objectives = Objectives()
    """What is expected of the relay."""
    isolation: Isolation = Isolation()
    """What the relay is kept apart from."""
    depends_on: DependsOn = []
    """Names of OutboxRelays of this namespace that go first: new pods of this relay, its first ones too, wait until
    those are Ready with their newest spec. What already runs is never stopped by it."""
    template: Template = Template()
    """How the relay's pods are made."""

    @property
    def is_critical(self) -> bool:
        """Whether the relay is of the tier Critical."""
        return self.isolation.tier == "Critical"

    @property
    def fewest_pods(self) -> int:
        """Fewest pods where the operator decides; 0: none after a time without a row."""
        least = self.scaling.min_replicas
        return max(CRITICAL_PODS, least) if self.is_critical else least

    @property
    def asked_pods(self) -> int | None:
        """Pods that the spec asks for; None where the operator decides."""
        if self.state == "Stopped":
            return 0
        if self.scaling.effective_mode == "Auto":
            return None
        replicas = self.scaling.replicas or 0
        return max(CRITICAL_PODS, replicas) if self.is_critical else replicas

    @property
    def topic_template(self) -> str | None:
        """The template that names a row's topic, or None where every row goes to target.topic."""
        if self.target.topic:
            return None
        return self.target.topic_template or PRESET_TEMPLATES.get(self.source.table.preset)

    @property
    def allowed_topics(self) -> tuple[str, ...]:
        """Patterns of the topics that topic_template may name; a preset's own template brings its own."""
        if self.target.allowed_topics or self.topic_template is None:
            return tuple(self.target.allowed_topics)
        return (re.sub(r"\{[^{}]+\}", "*", self.topic_template),)

    def problems(self) -> list[str]:
        """Each broken CEL rule as "path: message", for a manifest that no API server has seen."""
        parts = {
            "spec": check_rules(
                (SPEC_RULES[0], self._has_shards_for(self.scaling.replicas or 0)),
                (SPEC_RULES[1], bool(self.target.topic or self.topic_template)),
                (SPEC_RULES[2], self._has_shards_for(self.scaling.min_replicas)),
                (SPEC_RULES[3], self.scaling.min_replicas <= self.source.database.most_pods),
                (SPEC_RULES[4], not self.is_critical or 0 not in (self.scaling.min_replicas, self.scaling.replicas)),
                (SPEC_RULES[5], not self.is_critical or self._has_room_for(CRITICAL_PODS)),
            ),
            "spec.source.database": self.source.database.problems(),
            "spec.source.table": self.source.table.problems(),
            "spec.source.read": self.source.read.problems(),
            "spec.target": self.target.problems(),
            "spec.ordering": self.ordering.problems(),
            "spec.retry": self.retry.problems(),
            "spec.poison": self.poison.problems(),
            "spec.scaling": self.scaling.problems(),
        }
        return [f"{path}: {message}" for path, messages in parts.items() for message in messages]

    def _has_room_for(self, pods: int) -> bool:
        return self.scaling.max_replicas >= pods <= self.source.database.most_pods

    def _has_shards_for(self, replicas: int) -> bool:
        return self.ordering.mode == "None" or replicas <= self.ordering.shards
