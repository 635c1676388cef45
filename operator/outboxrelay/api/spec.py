"""The OutboxRelay resource as users write it. crds/outboxrelays.yaml is generated from these models."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from outboxrelay.api.model import ApiModel
from outboxrelay.api.source import Source
from outboxrelay.api.target import Target
from outboxrelay.api.template import Template
from outboxrelay.api.validation import Rule, check_rules, rules

MAX_REPLICAS = 64
MAX_SHARDS = 256

SPEC_RULES = (
    Rule(
        "self.scaling.replicas <= self.ordering.shards",
        "scaling.replicas must not exceed ordering.shards: a replica without a shard has nothing to do",
    ),
)


class Ordering(ApiModel):
    """Events of one key arrive in the order of their row ids; keys are spread over shards."""

    shards: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SHARDS,
            json_schema_extra=rules(Rule("self == oldSelf", "shards is immutable: it decides who owns which key")),
        ),
    ] = 16
    """Number of slices of the key space, the upper bound of parallelism. Immutable."""


RETRY_RULES = (
    Rule(
        "self.initialBackoffMilliseconds <= self.maxBackoffSeconds * 1000",
        "initialBackoffMilliseconds must not exceed maxBackoffSeconds",
    ),
)


class Retry(ApiModel):
    """How long the relay waits before it tries a broker or a database again; each wait is jittered."""

    model_config = ConfigDict(json_schema_extra=rules(*RETRY_RULES))

    initial_backoff_milliseconds: Annotated[int, Field(ge=10, le=600000)] = 200
    """Milliseconds of the first wait."""
    max_backoff_seconds: Annotated[int, Field(ge=1, le=600)] = 15
    """Seconds of the longest wait."""
    multiplier_percent: Annotated[int, Field(ge=110, le=1000)] = 200
    """Each wait in percent of the one before it."""

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules((RETRY_RULES[0], self.initial_backoff_milliseconds <= self.max_backoff_seconds * 1000))


class Scaling(ApiModel):
    """How many relay pods share the shards."""

    replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 1
    """Number of relay pods; `kubectl scale` sets it too."""


class OutboxRelaySpec(ApiModel):
    """What is carried from where to where, and how."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *SPEC_RULES,
            Rule(
                "self.target.topic == oldSelf.target.topic || oldSelf.state == 'Stopped'",
                "target.topic may change only while state is Stopped: pods of both topics would run side by side",
            ),
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
    scaling: Scaling = Scaling()
    """How many relay pods share the work."""
    template: Template = Template()
    """How the relay's pods are made."""

    def problems(self) -> list[str]:
        """Each broken CEL rule as "path: message", for a manifest that no API server has seen."""
        parts = {
            "spec": check_rules((SPEC_RULES[0], self.scaling.replicas <= self.ordering.shards)),
            "spec.source.database": self.source.database.problems(),
            "spec.source.read": self.source.read.problems(),
            "spec.target": self.target.problems(),
            "spec.retry": self.retry.problems(),
        }
        return [f"{path}: {message}" for path, messages in parts.items() for message in messages]
