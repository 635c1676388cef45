"""Which pods should answer the controller and do not; silence counts from the last answer or the first question."""

from collections.abc import Iterable, Mapping

from outboxrelay.decisions.facts import PodFacts, PodReport

LEAST_SECONDS = 10.0


def heard(
    before: Mapping[str, float], pods: Iterable[PodFacts], reports: Iterable[PodReport], now: float, late: float = 0.0
) -> dict[str, float]:
    """When each pod that should answer was last heard; one that only starts is not waited for.

    ``late``: seconds since the last look by which the operator came late to its own work: in those it heard nobody.
    """
    answers = {item.report.member: item.at for item in reports}
    known = {name: min(now, at + late) for name, at in before.items()}
    expected = [pod.name for pod in pods if (pod.ready or pod.fell) and pod.address]
    return {name: max(answers.get(name, 0.0), known.get(name, 0.0)) or now for name in expected}


def silent(last: Mapping[str, float], now: float, interval: float) -> tuple[str, ...]:
    """Pods that missed two questions in a row."""
    patience = max(LEAST_SECONDS, 2 * interval)
    return tuple(sorted(name for name, at in last.items() if now - at >= patience))
