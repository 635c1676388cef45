"""Asking for a decision on the number of pods at each look, and remembering it once it was carried out.

A leader that has just begun goes on from the pods that there are, and from what status says of the last one's
knowledge: what one pod delivers, and until when more are not tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.status import OutboxRelayStatus, ScalingStatus, ScalingStep
from outboxrelay.controller.clock import Clock, timestamp
from outboxrelay.controller.probes import Results
from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.observe import policy_of, reading_of
from outboxrelay.decisions.autoscaling.published import step_message
from outboxrelay.decisions.autoscaling.values import NEVER, Block, Decision, ScalingFacts, State
from outboxrelay.decisions.facts import PodFacts
from outboxrelay.manifests.deployment import asked_replicas, first_replicas


@dataclass(frozen=True, slots=True)
class Scaled:
    """What is remembered of one relay's scaling."""

    state: State
    blocked_until: str | None = None
    blocks: int = 0
    last_step: ScalingStep | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many pods to ask for, and how that came about."""

    replicas: int
    facts: ScalingFacts
    scaled: Scaled | None = None
    """To be remembered when it is carried out; None: nothing."""
    step: ScalingStep | None = None
    """Set where the number of pods changes by this decision."""


class Autoscaler:
    """Decides for relays whose scaling asks for it."""

    def __init__(self, *, clock: Clock, period: float) -> None:
        self._clock = clock
        self._period = period

    def outcome(
        self,
        manifest: RelayManifest,
        *,
        accepted: bool,
        live: int | None,
        before: Scaled | None,
        found: OutboxRelayStatus | None,
        results: Results,
        pods: Sequence[PodFacts],
        unmoved_since: float | None,
    ) -> Outcome:
        """The number of pods for ``manifest``; ``live``: those that its Deployment asks for, None without one."""
        scaling, state = manifest.spec.scaling, manifest.spec.state
        asked, mode = asked_replicas(manifest), scaling.effective_mode
        acts = asked is None and not scaling.dry_run
        decides = accepted and state == "Running" and (acts or scaling.dry_run)
        facts = ScalingFacts(mode=mode, dry_run=scaling.dry_run, state=state)
        if live is None and found is not None and found.scaling is not None:
            # Somebody deleted the Deployment while nobody led.
            live = found.scaling.desired_replicas
        start = _start(manifest, live) if asked is None else asked
        if not decides:
            kept = before if acts else None
            return Outcome(start if kept is None else kept.state.replicas, facts, kept)
        now = self._clock.monotonic()
        if before is None:
            before = _begun(found, start, now, self._clock.now())
        if not acts:
            before = replace(before, state=replace(before.state, replicas=start))
        reading = reading_of(
            now=now,
            source=results.source,
            target=results.target,
            count=results.count,
            pods=pods,
            reports=results.fresh_reports(now),
            unmoved_since=unmoved_since,
        )
        decision, after = decide(policy_of(manifest.spec, self._period), reading, before.state)
        if not acts:
            return self._only_told(facts, decision, before, after)
        scaled, step = self._taken(decision, before, after)
        return Outcome(decision.desired, _told(facts, decision, scaled), scaled, step)

    def _only_told(self, facts: ScalingFacts, decision: Decision, before: Scaled, after: State) -> Outcome:
        """A decision that is not carried out: nothing was tried, so nothing is remembered of trying."""
        kept = before.state
        state = replace(
            after,
            replicas=kept.replicas,
            trial=kept.trial,
            block=kept.block,
            raised_at=kept.raised_at,
            lowered_at=kept.lowered_at,
        )
        scaled = replace(before, state=state)
        return Outcome(kept.replicas, _told(facts, decision, scaled), scaled)

    def _taken(self, decision: Decision, before: Scaled, after: State) -> tuple[Scaled, ScalingStep | None]:
        now, wall = decision.at, self._clock.now()
        blocked = before.blocked_until
        if after.block.until != before.state.block.until:
            # Written once: a time that is computed anew at each look would be another one by a second at times.
            blocked = timestamp(wall + timedelta(seconds=max(0.0, after.block.until - now)))
        if after.block.until <= now:
            blocked = None
        step = None
        if decision.step is not None and decision.desired != decision.before:
            step = ScalingStep(
                at=timestamp(wall),
                from_=decision.before,
                to=decision.desired,
                reason=decision.step,
                message=step_message(decision),
            )
        return Scaled(after, blocked, after.block.times, step or before.last_step), step


def _told(facts: ScalingFacts, decision: Decision, scaled: Scaled) -> ScalingFacts:
    return replace(
        facts,
        decision=decision,
        blocked_until=scaled.blocked_until,
        blocks=scaled.blocks,
        last_step=scaled.last_step,
    )


def _start(manifest: RelayManifest, live: int | None) -> int:
    """Pods to go on from, where the operator decides: those that there are."""
    return first_replicas(manifest) if live is None else max(live, manifest.spec.fewest_pods)


def _begun(found: OutboxRelayStatus | None, replicas: int, now: float, wall: datetime) -> Scaled:
    """What a new leader begins with."""
    status = found.scaling if found is not None else None
    if status is None:
        return Scaled(State(replicas))
    decision = status.last_decision
    known = decision.capacity_per_second if decision is not None and decision.capacity_learned else None
    block, until = _block(status, now, wall)
    # Nothing is taken away or added before this leader has seen enough itself: the windows begin anew.
    state = State(replicas, capacity=float(known) if known else None, block=block)
    return Scaled(state, until, block.times, status.last_step)


def _block(status: ScalingStatus, now: float, wall: datetime) -> tuple[Block, str | None]:
    until = _seconds_until(status.blocked_until, wall)
    if until is None or until <= 0:
        return Block(NEVER, status.blocks), None
    return Block(now + until, status.blocks), status.blocked_until


def _seconds_until(text: str | None, wall: datetime) -> float | None:
    try:
        return None if text is None else (datetime.fromisoformat(text) - wall).total_seconds()
    except (ValueError, TypeError):
        return None
