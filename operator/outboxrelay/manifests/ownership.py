"""Whose a live object is. What is not ours is never touched, whatever its name."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayIdentity


class Ownership(StrEnum):
    """What may be done with a live object of a child's name."""

    OURS = "ours"
    ORPHAN = "orphan"
    """Made by the operator for a relay of this name and left behind on purpose: it is adopted."""
    PREDECESSOR = "predecessor"
    """It goes with a deleted relay of the same name; wait until it is gone."""
    FOREIGN = "foreign"


def ownership(live: Mapping[str, Any], identity: RelayIdentity) -> Ownership:
    """Whose ``live`` is, seen from the relay ``identity``."""
    metadata = live.get("metadata", {})
    owners = metadata.get("ownerReferences") or []
    if any(item.get("uid") == identity.uid for item in owners):
        return Ownership.OURS
    if any(item.get("kind") == names.KIND and item.get("name") == identity.name for item in owners):
        return Ownership.PREDECESSOR
    labels = metadata.get("labels") or {}
    made_here = labels.get(names.LABEL_MANAGED_BY) == names.MANAGER
    if not owners and made_here and labels.get(names.LABEL_RELAY) == identity.name:
        return Ownership.ORPHAN
    return Ownership.FOREIGN


def owner_text(live: Mapping[str, Any]) -> str:
    """Who the object belongs to, in words."""
    owners = live.get("metadata", {}).get("ownerReferences") or []
    controllers = [item for item in owners if item.get("controller")] or owners
    if controllers:
        return f"belongs to {controllers[0].get('kind')} {controllers[0].get('name')}"
    return "was not made by the operator"
