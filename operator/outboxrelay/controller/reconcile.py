"""One look at one relay: observe, plan, apply, report. Level-triggered: why it was woken does not matter."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from outboxrelay.api.manifest import RelayIdentity, RelayManifest
from outboxrelay.api.names import Condition, child_name
from outboxrelay.api.status import OutboxRelayStatus
from outboxrelay.controller.apply import Applications, Applier
from outboxrelay.controller.claims import Claims
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.lateness import Lateness
from outboxrelay.controller.memory import Memories, Memory
from outboxrelay.controller.observe import deployment_facts, pod_facts
from outboxrelay.controller.plan import Observed, Plan, plan
from outboxrelay.controller.prober import Prober
from outboxrelay.controller.probes import Results, Subject
from outboxrelay.controller.relay_metrics import RelayNumbers
from outboxrelay.controller.relays import Relays
from outboxrelay.controller.reporter import Reporter, found_status
from outboxrelay.controller.rollouts import Rollouts
from outboxrelay.controller.scaling import Autoscaler, Outcome
from outboxrelay.controller.scaling_metrics import ScalingMetrics
from outboxrelay.controller.survey import Surveyor
from outboxrelay.decisions.backlog import progressed
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.conditions import NO_PROGRESS_SECONDS, STALE_SECONDS
from outboxrelay.decisions.facts import DeploymentFacts, Facts, PodFacts, PodReport, Verdict
from outboxrelay.decisions.incidents.silence import heard, silent
from outboxrelay.decisions.scaling import scaling_active, step_news
from outboxrelay.decisions.transitions import News
from outboxrelay.manifests.kinds import DEPLOYMENT

SETTLE_SECONDS = 8.0
"""How long the first answers of database, brokers and pods are waited for, where a status exists already."""


class ChildCache(Protocol):
    """The watched children."""

    def deployment(self, key: Key, name: str) -> dict[str, Any] | None:
        """The Deployment of the relay."""

    def pods(self, key: Key) -> list[dict[str, Any]]:
        """The pods of the relay."""


class Reconciler:
    """Looks at relays."""

    def __init__(
        self,
        relays: Relays,
        children: ChildCache,
        surveyor: Surveyor,
        applier: Applier,
        prober: Prober,
        reporter: Reporter,
        claims: Claims,
        autoscaler: Autoscaler,
        meter: ScalingMetrics,
        rollouts: Rollouts,
        lateness: Lateness,
        *,
        clock: Clock,
        interval: float,
    ) -> None:
        self._relays = relays
        self._children = children
        self._surveyor = surveyor
        self._applier = applier
        self._prober = prober
        self._reporter = reporter
        self._claims = claims
        self._autoscaler = autoscaler
        self._meter = meter
        self._rollouts = rollouts
        self._lateness = lateness
        self._clock = clock
        self._interval = interval
        self._memories = Memories()

    async def reconcile(self, key: Key) -> float | None:
        """Look at the relay ``key``; seconds after which to look again. Raises ClusterFault."""
        body = self._relays.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._forget(key)
            return None
        identity = _identity(body)
        memory = self._memories.of(key, identity.uid, self._clock.monotonic(), lambda: found_status(body))
        pods = [fact for fact in map(pod_facts, self._children.pods(key)) if fact]
        observed, outcome = await self._observe(key, body, memory, pods)
        if observed.is_partial:
            # What waited may go now, and between two surveys only a part was looked at.
            memory.surveyed_generation = -1
            observed, outcome = await self._observe(key, body, memory, pods)
        decided = plan(observed)
        memory.desired = decided.desired or memory.desired
        applied = await self._applier.apply(identity, observed, decided, memory)
        news = (*applied.news, *self._rollouts.news(key, memory))
        if applied.refusal is None:
            self._surveyor.done(observed, memory)
            news += self._carried_out(key, memory, outcome)
        self._probe(key, identity, observed, memory, pods)
        facts = self._facts(key, body, observed, decided, applied, memory, pods, outcome)
        if not self._still_asking(memory, facts):
            await self._reporter.report(identity, facts, memory, news)
        return self._next_look(facts, decided)

    def _next_look(self, facts: Facts, decided: Plan) -> float:
        """Seconds until then: sooner than usual where something falls due, a stall that counts from then on too."""
        stall = (facts.progress_at or facts.now) + NO_PROGRESS_SECONDS - facts.now
        times = (decided.again_after or self._interval, stall)
        return min(self._interval, *(seconds for seconds in times if seconds > 0))

    def numbers(self) -> Iterator[tuple[Key, RelayNumbers]]:
        """What is known now of each relay."""
        now = self._clock.monotonic()
        for key, memory in self._memories.items():
            yield key, _numbers(memory, self._prober.results(key), now)

    async def _observe(
        self, key: Key, body: Mapping[str, Any], memory: Memory, pods: list[PodFacts]
    ) -> tuple[Observed, Outcome | None]:
        """All that a plan depends on, and how the number of pods came about."""
        observed = self._rollouts.checked(await self._surveyor.survey(body, _identity(body), memory))
        outcome = self._scale(key, observed, memory, pods)
        if outcome is not None:
            observed = replace(observed, replicas=outcome.replicas)
        cached = self._children.deployment(key, child_name(key[1]))
        held = self._rollouts.held(body, observed, memory, deployment_facts(cached) if cached else None)
        return held, outcome

    def _scale(self, key: Key, observed: Observed, memory: Memory, pods: list[PodFacts]) -> Outcome | None:
        """How many pods the relay should have; None where its spec cannot be read."""
        if observed.manifest is None:
            memory.scaled = None
            return None
        cached = self._children.deployment(key, child_name(key[1]))
        child = observed.children.get(DEPLOYMENT.kind)
        live = deployment_facts(cached).desired if cached else (child.replicas if child else None)
        return self._autoscaler.outcome(
            observed.manifest,
            accepted=observed.refusal is None,
            live=live,
            before=memory.scaled,
            found=memory.status,
            results=self._prober.results(key),
            pods=pods,
            unmoved_since=memory.progress.at if memory.progress else None,
        )

    def _carried_out(self, key: Key, memory: Memory, outcome: Outcome | None) -> tuple[News, ...]:
        """Remember a decision whose pods are asked for now; what could not be done is decided anew."""
        if outcome is None:
            return ()
        memory.scaled = outcome.scaled
        self._meter.decided(key, outcome.replicas, outcome.facts, scaling_active(outcome.facts))
        if outcome.step is None:
            return ()
        self._meter.stepped(key, outcome.step)
        return (step_news(outcome.step),)

    def _still_asking(self, memory: Memory, facts: Facts) -> bool:
        """Whether a leader that has just begun had better wait for answers than write that it knows nothing."""
        known = memory.status is not None and bool(memory.status.conditions)
        if not known or not facts.verdict.accepted or facts.now - memory.since > SETTLE_SECONDS:
            return False
        silent = {pod.name for pod in facts.pods if pod.ready} - {item.report.member for item in facts.reports}
        return facts.source is None or facts.target is None or bool(silent)

    def _forget(self, key: Key) -> None:
        self._prober.forget(key)
        self._rollouts.forget(key)
        self._claims.withdraw(key)
        self._reporter.forget(key)
        self._memories.forget(key)
        self._meter.forget(key)

    def _probe(
        self, key: Key, identity: RelayIdentity, observed: Observed, memory: Memory, pods: list[PodFacts]
    ) -> None:
        secrets = memory.secrets
        if observed.manifest is None or secrets is None or secrets.missing is not None:
            # Without credentials there is nobody to ask as; pods that run are asked on when they are back.
            self._prober.forget(key)
            return
        subject = Subject(
            identity.uid,
            observed.manifest.spec,
            secrets.texts(),
            source_place=memory.source_scope,
            target_place=_brokers(observed.manifest),
        )
        self._prober.watch(key, subject, {pod.name: pod.address for pod in pods if pod.address})

    def _facts(
        self,
        key: Key,
        body: Mapping[str, Any],
        observed: Observed,
        decided: Plan,
        applied: Applications,
        memory: Memory,
        pods: list[PodFacts],
        outcome: Outcome | None,
    ) -> Facts:
        now, results, manifest = self._clock.monotonic(), self._prober.results(key), observed.manifest
        reports = results.fresh_reports(now)
        state = manifest.spec.state if manifest else "Running"
        wanted = outcome.replicas if outcome else _asked(body)
        self._follow_progress(memory, results, now, expected=state == "Running" and wanted > 0)
        late = self._lateness.seconds - memory.late
        memory.heard = heard(memory.heard, pods, reports, now, late) if self._prober.asks(key) else {}
        memory.late = self._lateness.seconds
        mute = silent(memory.heard, now, self._interval)
        verdict = applied.refusal.verdict if applied.refusal and applied.refusal.verdict else decided.verdict
        return Facts(
            now=now,
            state=state,
            wanted=wanted,
            verdict=verdict,
            source=results.source,
            target=results.target,
            count=results.count,
            deployment=self._deployment(key, applied, verdict),
            pods=tuple(pods),
            reports=reports,
            silent=mute,
            silent_since=max((memory.heard[name] for name in mute), default=None),
            source_scope=memory.source_scope,
            target_scope=_brokers(manifest) if manifest else "",
            progress_at=memory.progress.at if memory.progress else None,
            moved_at=memory.progress.moved_at if memory.progress else None,
            scaling=outcome.facts if outcome else None,
            hold=decided.hold,
            max_lag=float(manifest.spec.objectives.max_lag_seconds) if manifest else 30.0,
        )

    def _deployment(self, key: Key, applied: Applications, verdict: Verdict) -> DeploymentFacts | None:
        live = self._children.deployment(key, child_name(key[1]))
        facts = deployment_facts(live) if live else None
        if applied.refusal is None or not verdict.accepted:
            return facts
        ready = facts.ready if facts else 0
        return DeploymentFacts(
            desired=facts.desired if facts else 0,
            replicas=facts.replicas if facts else 0,
            ready=ready,
            updated=0,
            settled=False,
            refused=applied.refusal.text,
        )

    def _follow_progress(self, memory: Memory, results: Results, now: float, expected: bool) -> None:
        reports = results.fresh_reports(now)
        delivered = sum(item.report.delivery.rows_total for item in reports) if reports else None
        waiting = results.count.rows if results.count else None
        if waiting is None and not reports:
            return
        well = all(probe is not None and probe.healthy for probe in (results.source, results.target))
        memory.progress = progressed(
            memory.progress,
            now=now,
            waiting=waiting,
            delivered=delivered,
            counted_at=results.count.at if results.count else None,
            delivered_at=_delivered_at(reports),
            excused=not (expected and well),
        )


def _numbers(memory: Memory, results: Results, now: float) -> RelayNumbers:
    status = memory.status or OutboxRelayStatus()
    ready = next((item.status for item in status.conditions if item.type == Condition.READY), None)
    count = results.count if results.count is not None and now - results.count.at <= STALE_SECONDS else None
    lag = None if count is None else count.oldest_age if count.rows else 0.0
    return RelayNumbers(
        ready=None if ready is None else ready == "True",
        backlog_rows=None if count is None else count.rows,
        lag_seconds=None if lag is None else max(0.0, lag),
        held_keys=None if status.held is None else status.held.keys,
        quarantined_rows=status.quarantined_rows,
    )


def _delivered_at(reports: Iterable[PodReport]) -> float | None:
    """When a row was last delivered, as the pods tell by their own clocks."""
    told = [(item.at, item.report.observed_at, item.report.delivery.last_delivered_at) for item in reports]
    return max((at - (seen - last).total_seconds() for at, seen, last in told if last is not None), default=None)


def _brokers(manifest: RelayManifest) -> str:
    return ",".join(sorted(manifest.spec.target.bootstrap_servers))


def _identity(body: Mapping[str, Any]) -> RelayIdentity:
    metadata = body["metadata"]
    return RelayIdentity(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
    )


def _asked(body: Mapping[str, Any]) -> int:
    """Replicas of a spec that cannot be read as a whole."""
    spec = body.get("spec")
    scaling = spec.get("scaling") if isinstance(spec, dict) else None
    replicas = scaling.get("replicas", 1) if isinstance(scaling, dict) else 1
    return replicas if isinstance(replicas, int) else 1
