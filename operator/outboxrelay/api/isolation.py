"""spec.isolation and spec.dependsOn: what a relay is kept apart from, and which relays go before it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from outboxrelay.api.model import ApiModel
from outboxrelay.api.names import MAX_NAME_LENGTH
from outboxrelay.api.validation import Rule

CRITICAL_PODS = 2
"""Fewest pods of a critical relay: one delivers or stands by while another is replaced."""
MAX_DEPENDENCIES = 16

RelayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
]
DependsOn = Annotated[
    list[RelayName], Field(max_length=MAX_DEPENDENCIES, json_schema_extra={"x-kubernetes-list-type": "set"})
]
SELF_RULE = Rule(
    "!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(name, name == self.metadata.name)",
    "spec.dependsOn must not name the OutboxRelay itself: it would wait for itself",
)
"""A rule of the whole object: only there a name can be seen."""


class Isolation(ApiModel):
    """What the relay is kept apart from."""

    tier: Literal["Critical", "Standard"] = "Standard"
    """Critical: two pods at least, spread over nodes and zones, with a PriorityClass and a PodDisruptionBudget; looked
    at before Standard ones, and the last to be replaced when the operator is upgraded. replicas and minReplicas 1
    count as 2."""
