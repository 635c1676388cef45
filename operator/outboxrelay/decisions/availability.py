"""Available: whether enough pods run, and if not, which obstacle is in their way."""

from outboxrelay.api.names import Condition, Reason
from outboxrelay.decisions.facts import DeploymentFacts, Facts, Finding, PodFacts, Status

OBSTACLES = (Reason.IMAGE_PULL_FAILED, Reason.CRASH_LOOPING, Reason.UNSCHEDULABLE)
"""The first that any pod has is told."""


def available(facts: Facts) -> Finding:
    """The condition Available."""
    deployment = facts.deployment
    if facts.wanted == 0 and (deployment is None or deployment.replicas == 0):
        return _finding("True", Reason.IDLE, "no pod is asked for")
    if deployment is None:
        if not facts.verdict.accepted:
            return _finding("False", Reason.ROLLING_OUT, "no pods run: the spec is not accepted")
        if (hold := facts.unstarted) is not None:
            return _finding("False", hold.reason, f"no pod runs yet: {hold.message}")
        return _finding("Unknown", Reason.PENDING, "the Deployment has not been observed yet")
    if deployment.refused:
        return _refused(deployment)
    for obstacle in OBSTACLES:
        for pod in facts.pods:
            if pod.problem is obstacle:
                return _obstructed(pod, deployment)
    return _counted(deployment)


def _refused(deployment: DeploymentFacts) -> Finding:
    quota = "exceeded quota" in deployment.refused
    reason = Reason.QUOTA_EXCEEDED if quota else Reason.UNSCHEDULABLE
    what = "a quota of the namespace keeps pods from being created" if quota else "pods are refused"
    return _finding("False", reason, f"{what}: {deployment.refused}{_still(deployment)}")


def _obstructed(pod: PodFacts, deployment: DeploymentFacts) -> Finding:
    return _finding("False", pod.problem or Reason.PENDING, f"pod {pod.name}: {pod.message}{_still(deployment)}")


def _counted(deployment: DeploymentFacts) -> Finding:
    count = f"{deployment.ready} of {deployment.desired} pods ready"
    complete = deployment.settled and deployment.updated >= deployment.desired
    if complete and deployment.ready >= deployment.desired == deployment.replicas:
        return _finding("True", Reason.MINIMUM_REPLICAS_READY, count)
    if deployment.overdue:
        return _finding("False", Reason.ROLLING_OUT, f"{count}, and the rollout has passed its deadline of 120 s")
    if deployment.desired == 0:
        return _finding("True", Reason.ROLLING_OUT, "the last pods are ending")
    return _finding("True" if deployment.ready else "False", Reason.ROLLING_OUT, count)


def _still(deployment: DeploymentFacts) -> str:
    return f" ({deployment.ready} of {deployment.desired} pods are ready and go on)" if deployment.ready else ""


def _finding(status: Status, reason: Reason, message: str) -> Finding:
    return Finding(Condition.AVAILABLE, status, reason, message)
