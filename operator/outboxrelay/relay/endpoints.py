"""What the relay says over HTTP: /livez /readyz /state /metrics, each answered from memory."""

from collections.abc import Callable
from dataclasses import dataclass

from outboxrelay.api.report import RelayReport
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, type and body."""

    status: int
    content_type: str
    body: str | bytes


TEXT = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def livez(beats: Beats) -> Answer:
    """200 unless a loop is stuck; names it."""
    stuck = beats.stuck()
    return Answer(503, TEXT, f"stuck: {', '.join(stuck)}\n") if stuck else Answer(200, TEXT, "ok\n")


def readyz(missing: Callable[[], list[str]]) -> Answer:
    """200 when nothing is missing; names what is."""
    lacks = missing()
    return Answer(503, TEXT, f"not ready: {', '.join(lacks)}\n") if lacks else Answer(200, TEXT, "ok\n")


def state(report: RelayReport) -> Answer:
    """The report as JSON."""
    return Answer(200, "application/json", report.model_dump_json(by_alias=True))


def metrics(series: Metrics) -> Answer:
    """The series in Prometheus' text format."""
    return Answer(200, EXPOSITION, series.exposition())
