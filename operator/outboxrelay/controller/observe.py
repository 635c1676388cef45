"""From objects as the API server sends them to the facts that decisions are made from."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from outboxrelay.api import names
from outboxrelay.api.names import Reason
from outboxrelay.decisions.facts import DeploymentFacts, PodFacts
from outboxrelay.decisions.rollouts import Template

Body = Mapping[str, Any]

IMAGE_WAITS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
CRASH_WAITS = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
)
KUBERNETES_OWN = "deployment.kubernetes.io/"
"""Annotations with this prefix are the Deployment controller's; they change with each rollout."""


def fingerprint(body: Body) -> str:
    """What changes when somebody changes what the object asks for, and not when its status changes."""
    metadata = body.get("metadata", {})
    annotations = metadata.get("annotations") or {}
    # What has no generation has no status either: each new version of it is a change.
    parts = {
        "uid": metadata.get("uid"),
        "generation": metadata.get("generation") or metadata.get("resourceVersion"),
        "labels": metadata.get("labels"),
        "annotations": {key: value for key, value in annotations.items() if not key.startswith(KUBERNETES_OWN)},
        "owners": metadata.get("ownerReferences"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def trimmed_deployment(body: Body) -> dict[str, Any]:
    """The part of a Deployment that is kept in memory."""
    return {
        "metadata": _trimmed_metadata(body),
        "spec": {"replicas": body.get("spec", {}).get("replicas", 1)},
        "status": body.get("status", {}),
    }


def trimmed_pod(body: Body) -> dict[str, Any]:
    """The part of a Pod that is kept in memory."""
    status = body.get("status", {})
    kept = ("phase", "reason", "message", "podIP", "conditions", "containerStatuses")
    return {
        "metadata": _trimmed_metadata(body),
        "status": {key: status[key] for key in kept if key in status},
    }


def _trimmed_metadata(body: Body) -> dict[str, Any]:
    return {key: value for key, value in body.get("metadata", {}).items() if key != "managedFields"}


def deployment_facts(body: Body) -> DeploymentFacts:
    """What a Deployment says of its pods."""
    spec, status = body.get("spec", {}), body.get("status", {})
    conditions = {item.get("type"): item for item in status.get("conditions") or []}
    failure, progressing = conditions.get("ReplicaFailure", {}), conditions.get("Progressing", {})
    return DeploymentFacts(
        desired=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        updated=status.get("updatedReplicas", 0),
        settled=status.get("observedGeneration", 0) >= body.get("metadata", {}).get("generation", 0),
        refused=str(failure.get("message", "")) if failure.get("status") == "True" else "",
        overdue=progressing.get("reason") == "ProgressDeadlineExceeded",
        progressed_at=str(progressing.get("lastUpdateTime", "")),
    )


def template_of(body: Body) -> Template:
    """What a Deployment's pod template was made from; an older operator left less behind."""
    notes = body.get("metadata", {}).get("annotations") or {}
    generation = str(notes.get(names.ANNOTATION_TEMPLATE_GENERATION, ""))
    return Template(
        digest=str(notes.get(names.ANNOTATION_TEMPLATE_HASH, "")),
        generation=int(generation) if generation.isdigit() else -1,
        credentials=str(notes.get(names.ANNOTATION_CREDENTIALS_HASH, "")),
        upgraded_at=str(notes.get(names.ANNOTATION_UPGRADED_AT, "")),
    )


def trimmed_budget(body: Body) -> dict[str, Any]:
    """The part of a PodDisruptionBudget that is kept in memory."""
    return {"metadata": _trimmed_metadata(body)}


def pod_facts(body: Body) -> PodFacts | None:
    """What is known of a pod; None where it is ending or done."""
    metadata, status = body.get("metadata", {}), body.get("status", {})
    if metadata.get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    conditions = {item.get("type"): item for item in status.get("conditions") or []}
    problem, message = _problem(status, conditions)
    return PodFacts(
        name=metadata.get("name", ""),
        address=status.get("podIP"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        problem=problem,
        message=message,
        fell=_fell(conditions.get("Ready", {}), status),
    )


def _fell(ready: Body, status: Body) -> bool:
    """Whether the pod ceased to be ready after its container started: a pod that only starts has not been ready yet."""
    containers = status.get("containerStatuses") or []
    started = [item.get("state", {}).get("running", {}).get("startedAt") for item in containers]
    # Both are the API server's time stamps in whole seconds, so they compare as text.
    since = ready.get("lastTransitionTime")
    return bool(ready.get("status") == "False" and since and started and all(item and since > item for item in started))


def _problem(status: Body, conditions: Mapping[str, Body]) -> tuple[Reason | None, str]:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Reason.UNSCHEDULABLE, f"no node fits: {_line(scheduled.get('message'))}"
    for container in status.get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in IMAGE_WAITS:
            text = _line(waiting.get("message")) or reason
            return Reason.IMAGE_PULL_FAILED, f"image {container.get('image')} cannot be pulled: {text}"
        if reason in CRASH_WAITS:
            return Reason.CRASH_LOOPING, _crash(container, reason, _line(waiting.get("message")))
    return None, ""


def _crash(container: Body, reason: str, text: str) -> str:
    ended = container.get("lastState", {}).get("terminated") or {}
    if not ended:
        return f"the relay cannot start: {text or reason}"
    why = _line(ended.get("message")) or ended.get("reason", "")
    code = ended.get("exitCode")
    return f"the relay keeps ending with exit code {code} ({why}); look at its logs"


def _line(text: object) -> str:
    return " ".join(str(text or "").split())[:300]
