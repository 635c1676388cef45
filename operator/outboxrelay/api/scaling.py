"""spec.scaling and spec.objectives: how many pods share the work, and how late events may be."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from outboxrelay.api.model import ApiModel
from outboxrelay.api.validation import Rule, check_rules, rules

MAX_REPLICAS = 64
CONNECTIONS_PER_POD = 4
"""Connections that one relay pod holds at most: for its locks, to read, to settle, and to clear away old rows."""

ScalingMode = Literal["Auto", "Manual", "External"]

SCALING_RULES = (
    Rule("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas"),
    Rule(
        "!(has(self.mode) && self.mode == 'Auto' && has(self.replicas))",
        "with mode Auto the operator decides on the number of pods: remove replicas, or set mode to Manual or External",
    ),
    Rule(
        "!has(self.mode) || self.mode == 'Auto' || has(self.replicas)",
        "mode Manual and mode External need replicas, the number to begin with",
    ),
)


class Scaling(ApiModel):
    """How many relay pods share the shards."""

    model_config = ConfigDict(json_schema_extra=rules(*SCALING_RULES))

    mode: ScalingMode | None = None
    """Who decides on the number of pods. Auto: the operator, from the backlog. Manual: you, by replicas or kubectl
    scale. External: an autoscaler that uses the scale subresource, as HPA and KEDA do. Default: Manual where replicas
    is set, else Auto."""
    replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] | None = None
    """Number of relay pods with mode Manual and External; kubectl scale, HPA and KEDA set it."""
    min_replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 1
    """Mode Auto: fewest pods. 0 runs none after idleSeconds without a row; the first row wakes one."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 8
    """Mode Auto: most pods. ordering.shards and source.database.maxConnections may allow fewer, and a limit in flow,
    which holds for each pod, allows minReplicas only."""
    target_drain_seconds: Annotated[int, Field(ge=10, le=86400)] = 120
    """Mode Auto: seconds within which a backlog should be gone."""
    target_utilization_percent: Annotated[int, Field(ge=10, le=95)] = 70
    """Mode Auto: how busy pods should be with the rows that arrive, so that there is room for more."""
    scale_down_stabilization_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """Mode Auto: a pod is taken away when fewer would have sufficed for so many seconds."""
    idle_seconds: Annotated[int, Field(ge=30, le=86400)] = 600
    """Mode Auto with minReplicas 0: seconds without a row after which the last pod is taken away."""
    effectiveness_percent: Annotated[int, Field(ge=0, le=100)] = 30
    """Mode Auto: more pods must bring this share of what they promised within 45 seconds; otherwise they are taken
    away again and more are not tried for 10 minutes, then 20, 40, 60."""
    dry_run: bool = False
    """Decide and publish what mode Auto would do, and leave the number of pods as it is."""

    @property
    def effective_mode(self) -> ScalingMode:
        """The mode, also where it is not set."""
        if self.mode is not None:
            return self.mode
        return "Auto" if self.replicas is None else "Manual"

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules(
            (SCALING_RULES[0], self.min_replicas <= self.max_replicas),
            (SCALING_RULES[1], not (self.mode == "Auto" and self.replicas is not None)),
            (SCALING_RULES[2], self.mode in (None, "Auto") or self.replicas is not None),
        )


class Objectives(ApiModel):
    """What is expected of the relay."""

    max_lag_seconds: Annotated[int, Field(ge=1, le=86400)] = 30
    """Age in seconds that the oldest row which can be delivered should not pass. Condition LagWithinObjective tells;
    mode Auto of scaling works towards it."""
