"""Asking each relay's database, brokers and pods how they are, in tasks of their own, never on the watch.

Three loops per relay, each with its own timeout: what hangs delays nothing but itself. Results are kept here; the
relay is woken when one of them means something new.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.api.report import RelayReport
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.isolation import Outcome, isolated
from outboxrelay.controller.probes import ReportSource, Results, SourceProbe, Subject, TargetProbe
from outboxrelay.decisions.attention import TURNS
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Count, Exclusions, PodReport, Probe
from outboxrelay.errors import Fault, NotAsked

log = structlog.get_logger(__name__)

PROBE_SECONDS = 3.0
GRACE_SECONDS = 0.5
GIVEN_UP_SECONDS = (TURNS + 1) * PROBE_SECONDS + GRACE_SECONDS
"""An adapter keeps to PROBE_SECONDS itself, after those in which others have their turn, and says what did not answer;
this is for one that does not. Pods are asked without a turn."""

DOUBT_SECONDS = 1.0
"""A database that was well and then once did not answer in time is asked again after this, before it counts."""

LOST = frozenset({Reason.BROKER_UNAVAILABLE, Reason.CONNECT_FAILED, Reason.TIMEOUT})
"""Reasons that all who use the same place will meet."""
NEVER = float("-inf")
LULL_SECONDS = 5.0
"""Seconds for which nobody is asked again because somebody lost the same place."""


class ProbeMeter(Protocol):
    """Counts and times looks."""

    def looked(self, side: str, result: str, seconds: float, gap: float | None) -> None:
        """A side of a relay was looked at."""


class Looked(NamedTuple):
    """What came of one look at a side of a relay."""

    result: Literal["answered", "failed", "silent", "unasked"]
    news: bool
    """Whether the answer means something new."""


UNASKED = Looked("unasked", news=False)
"""What was known before stands, and grows old."""


@dataclass(slots=True)
class _Watched:
    subject: Subject
    results: Results = field(default_factory=Results)
    pods: dict[str, str] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    prompts: dict[str, asyncio.Event] = field(default_factory=dict)
    """By loop: set where it is to look at once."""
    failures: dict[str, int] = field(default_factory=dict)
    """By loop: bad answers in a row."""
    in_doubt: bool = False
    """Whether the database's last silence has not been counted yet."""


class Prober:
    """Owns the probing of every relay."""

    def __init__(
        self,
        source: SourceProbe,
        target: TargetProbe,
        reports: ReportSource,
        meter: ProbeMeter,
        *,
        clock: Clock,
        wake: Callable[[Key], None],
        interval: float,
    ) -> None:
        self._source = source
        self._target = target
        self._reports = reports
        self._meter = meter
        self._clock = clock
        self._wake = wake
        self._interval = interval
        self._watched: dict[Key, _Watched] = {}
        self._lost: dict[str, float] = {}
        """When each place was last lost by somebody."""
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the tasks until cancelled; one that dies takes all of them, and the process, along."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def watch(self, key: Key, subject: Subject, pods: Mapping[str, str]) -> None:
        """Probe for ``key`` from now on; ``pods`` are names and addresses."""
        if self._group is None:
            raise RuntimeError("the prober does not run")
        watched = self._watched.get(key)
        if watched is None or watched.subject.uid != subject.uid:
            self.forget(key)
            watched = self._watched[key] = _Watched(subject)
            looks = {"source": self._look_at_source, "target": self._look_at_target, "pods": self._look_at_pods}
            watched.prompts = {side: asyncio.Event() for side in looks}
            watched.tasks = [
                self._group.create_task(self._loop(key, watched, side, look), name=f"{side} of {key[0]}/{key[1]}")
                for side, look in looks.items()
            ]
        elif watched.subject != subject:
            watched.subject = subject
            for prompt in watched.prompts.values():
                prompt.set()
        watched.pods = dict(pods)

    def forget(self, key: Key) -> None:
        """Stop probing for ``key``."""
        watched = self._watched.pop(key, None)
        for task in watched.tasks if watched else ():
            task.cancel()

    def asks(self, key: Key) -> bool:
        """Whether anybody is asked about ``key``: where nobody is, silence says nothing."""
        return key in self._watched

    def results(self, key: Key) -> Results:
        """The newest answers for ``key``."""
        watched = self._watched.get(key)
        return watched.results if watched else Results()

    async def _loop(
        self, key: Key, watched: _Watched, side: str, look: Callable[[Key, _Watched], Coroutine[Any, Any, Looked]]
    ) -> None:
        ended: float | None = None
        while True:
            began, looked = self._clock.monotonic(), Looked("failed", news=False)
            try:
                # What may hang is bounded by each look itself.
                looked = await look(key, watched)
            except Exception:
                log.exception("probe_broken", namespace=key[0], relay=key[1])
            if looked.news:
                self._wake(key)
            now = self._clock.monotonic()
            self._meter.looked(side, looked.result, now - began, None if ended is None else now - ended)
            ended = now
            doubtful = watched.in_doubt and side == "source"
            await self._pause(watched.prompts[side], DOUBT_SECONDS if doubtful else self._interval)

    async def _pause(self, prompt: asyncio.Event, seconds: float) -> None:
        """Wait for the next turn, jittered so that relays spread; none where it was asked for at once meanwhile."""
        try:
            async with asyncio.timeout(seconds * (0.85 + 0.3 * self._clock.chance())):
                await prompt.wait()
        except TimeoutError:
            return
        prompt.clear()

    def _ask_fellows(self, place: str, before: Probe | None, found: Probe) -> None:
        """Let everybody look at once who uses the ``place`` that somebody has just lost: people are then told of all.

        At most once in five seconds, or one that flaps would make work for the others."""
        now = self._clock.monotonic()
        if (
            not place
            or not _well(before)
            or found.reason not in LOST
            or now - self._lost.get(place, NEVER) < LULL_SECONDS
        ):
            return
        self._lost = {name: at for name, at in self._lost.items() if now - at < LULL_SECONDS} | {place: now}
        for other in self._watched.values():
            subject, results = other.subject, other.results
            if subject.source_place == place and _well(results.source):
                other.prompts["source"].set()
            if subject.target_place == place and _well(results.target):
                other.prompts["target"].set()

    async def _look_at_source(self, key: Key, watched: _Watched) -> Looked:
        """Ask the database once."""
        subject, results = watched.subject, watched.results
        reports = results.fresh_reports(self._clock.monotonic())
        rows = [row for item in reports for row in item.report.held.rows]
        exclusions = Exclusions(
            keys=tuple(row.key for row in rows if row.key is not None),
            rows=tuple(row.row_id for row in rows if row.key is None),
        )
        work = partial(self._source.count, subject.spec, subject.secrets, exclusions, PROBE_SECONDS)
        outcome = await isolated(work, seconds=GIVEN_UP_SECONDS, name=f"count {key}")
        if isinstance(outcome.error, NotAsked):
            return UNASKED
        before, found = results.source, self._probe(outcome, "the database", Reason.TIMEOUT)
        silent = found.reason is Reason.TIMEOUT and before is not None and before.healthy
        if silent and not watched.in_doubt:
            watched.in_doubt = True
            return Looked("silent", news=False)
        watched.in_doubt = False
        results.source = found
        again = self._again(watched, "source", well=found.healthy)
        self._ask_fellows(subject.source_place, before, found)
        counted = outcome.value
        if counted is None:
            return Looked(_result(found), again or _news(before, found))
        first = results.count is None
        empty = results.count is not None and results.count.rows == 0
        results.count = Count(self._clock.monotonic(), counted.rows, counted.exact, counted.oldest_age)
        return Looked("answered", first or empty != (counted.rows == 0) or _news(before, found))

    async def _look_at_target(self, key: Key, watched: _Watched) -> Looked:
        """Ask the brokers once."""
        subject, results = watched.subject, watched.results
        work = partial(self._target.check, subject.spec, subject.secrets, PROBE_SECONDS)
        outcome = await isolated(work, seconds=GIVEN_UP_SECONDS, name=f"check {key}")
        if isinstance(outcome.error, NotAsked):
            return UNASKED
        place = subject.spec.target.place
        before, found = results.target, self._probe(outcome, place, Reason.BROKER_UNAVAILABLE)
        results.target = found
        self._ask_fellows(subject.target_place, before, found)
        again = self._again(watched, "target", well=found.healthy)
        return Looked(_result(found), again or _news(before, found))

    def _again(self, watched: _Watched, side: str, *, well: bool) -> bool:
        """Whether this is the second bad answer in a row: the one with which it counts."""
        watched.failures[side] = 0 if well else watched.failures.get(side, 0) + 1
        return watched.failures[side] == 2

    async def _look_at_pods(self, key: Key, watched: _Watched) -> Looked:
        """Ask every pod once."""
        pods, results = dict(watched.pods), watched.results
        answers = await asyncio.gather(
            *(
                isolated(
                    partial(self._reports.fetch, address, PROBE_SECONDS),
                    seconds=PROBE_SECONDS + GRACE_SECONDS,
                    name=name,
                )
                for name, address in pods.items()
            )
        )
        before = {name: _meaning(item.report) for name, item in results.reports.items()}
        now = self._clock.monotonic()
        for name, outcome in zip(pods, answers, strict=True):
            if outcome.error is not None:
                log.error("report_broken", pod=name, exc_info=outcome.error)
            if outcome.value is not None and outcome.value.identity.uid == watched.subject.uid:
                results.reports[name] = PodReport(now, outcome.value)
        for name in set(results.reports) - set(pods):
            del results.reports[name]
        again = self._again(watched, "pods", well=all(_is_well(item) for item in results.reports.values()))
        news = again or before != {name: _meaning(item.report) for name, item in results.reports.items()}
        return Looked("answered" if all(outcome.value for outcome in answers) else "silent", news)

    def _probe(self, outcome: Outcome[Any], what: str, silence: Reason) -> Probe:
        now = self._clock.monotonic()
        if isinstance(outcome.error, Fault):
            return Probe(now, _reason(outcome.error.reason), outcome.error.message)
        if outcome.timed_out:
            return Probe(now, silence, f"{what} did not answer within {PROBE_SECONDS:.0f} s")
        if outcome.error is not None:
            log.error("probe_broken", what=what, exc_info=outcome.error)
            return Probe(now, Reason.PROBE_STALE, f"{what} cannot be asked: the operator's log says why")
        return Probe(now)


def _result(probe: Probe) -> Literal["answered", "failed", "silent"]:
    if probe.healthy:
        return "answered"
    return "silent" if probe.reason in (Reason.TIMEOUT, Reason.BROKER_UNAVAILABLE) else "failed"


def _well(probe: Probe | None) -> bool:
    return probe is not None and probe.healthy


def _news(before: Probe | None, after: Probe) -> bool:
    return before is None or (before.reason, before.message) != (after.reason, after.message)


def _is_well(item: PodReport) -> bool:
    report = item.report
    return report.source.healthy is not False and report.target.healthy is not False and not report.blocked_topics


def _meaning(report: RelayReport) -> object:
    """The part of a report whose change is told at once."""
    sides = report.source.healthy, report.source.reason, report.target.healthy, report.target.reason
    aside = report.held.keys, report.quarantine.rows, [topic.topic for topic in report.blocked_topics]
    return sides, report.state, report.ready, aside, report.limitations, report.notices, report.delivery.circuit


def _reason(value: str) -> Reason:
    known = {item.value: item for item in Reason}
    return known.get(value, Reason.CONNECT_FAILED)
