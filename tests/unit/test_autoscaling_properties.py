"""What holds for every decision of the autoscaler, whatever it is told."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.estimate import estimate
from outboxrelay.decisions.autoscaling.gates import gates
from outboxrelay.decisions.autoscaling.values import Block, Decision, Policy, Reading, State, Trial
from tests.support.plant import Plant, policy

PERIOD = 5.0
START = 10_000.0
SHARE = st.floats(0, 1)
RATE = st.floats(0, 1e6)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    minimum = draw(st.integers(0, 10))
    return policy(
        minimum=minimum,
        maximum=draw(st.integers(max(1, minimum), 40)),
        drain_seconds=draw(st.floats(10, 3600)),
        max_lag=draw(st.floats(1, 600)),
        utilization=draw(st.floats(0.1, 0.95)),
        stabilization_seconds=draw(st.sampled_from([0.0, 30.0, 300.0])),
        idle_seconds=draw(st.sampled_from([30.0, 600.0])),
        effectiveness=draw(SHARE),
        ramp_seconds=draw(st.sampled_from([0.0, 30.0, 120.0])),
    )


@st.composite
def readings(draw: st.DrawFn, now: float = START) -> Reading:
    rows = draw(st.none() | st.integers(0, 100_000))
    full = draw(SHARE)
    return Reading(
        now=now,
        rows=rows,
        exact=draw(st.booleans()),
        lag=draw(st.none() | st.floats(0, 1e5)) if rows else None,
        counted_at=now - draw(st.sampled_from([0.0, 0.0, 0.0, 4.0, 100.0])),
        ready=draw(st.integers(0, 40)),
        told=draw(st.integers(0, 40)),
        silent=draw(st.sampled_from([0, 0, 0, 0, 1])),
        seasoned=draw(st.booleans()),
        delivered=draw(RATE),
        busy=max(full, draw(SHARE)),
        full=full,
        read_seconds=draw(st.none() | st.floats(0, 5)),
        target_fault=draw(st.sampled_from(["", "", "", "BrokerUnavailable"])),
        source_fault=draw(st.sampled_from(["", "", "", "TooManyConnections"])),
        unmoved=draw(st.booleans()),
        errors=draw(st.sampled_from(["", "", "rows wait for topic a"])),
        slowed=draw(st.sampled_from(["", "", "", "ramp"])),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    replicas = draw(st.integers(0, 50))
    trial = Trial(START - draw(st.floats(0, 200)), replicas - 1, replicas, draw(RATE), draw(RATE))
    return State(
        replicas,
        capacity=draw(st.none() | st.floats(0.1, 1e5)),
        wants_since=draw(st.none() | st.just(START - 5000)),
        raised_at=START - draw(st.floats(0, 100)),
        lowered_at=START - draw(st.floats(0, 100)),
        trial=draw(st.none() | st.just(trial)) if replicas > 1 else None,
        block=Block(START + draw(st.floats(-1000, 1000)), draw(st.integers(0, 20))),
        target_down_at=START - draw(st.floats(0, 1000)),
        saturated_since=draw(st.none() | st.just(START - 100)),
        silent_since=draw(st.none() | st.just(START - 5000)),
    )


@st.composite
def lives(draw: st.DrawFn) -> tuple[Policy, State, list[Reading]]:
    """A relay for a while; its own numbers of pods follow what is decided or not."""
    count = draw(st.integers(1, 30))
    moments = [draw(readings(START + PERIOD * number)) for number in range(count)]
    return draw(policies()), draw(states()), moments


def played(rules: Policy, state: State, moments: list[Reading]) -> list[tuple[Decision, State, State]]:
    """Each decision with the states before and after."""
    result = []
    for moment in moments:
        decision, after = decide(rules, moment, state)
        result.append((decision, state, after))
        state = after
    return result


@given(lives())
def test_the_number_of_pods_is_always_within_its_bounds(life: tuple[Policy, State, list[Reading]]) -> None:
    rules, state, moments = life
    for decision, _, after in played(rules, state, moments):
        assert rules.minimum <= decision.desired <= rules.maximum
        assert after.replicas == decision.desired


@given(policies(), states(), readings(), st.sampled_from(["uncounted", "old", "silent", "mute"]))
def test_what_is_stale_holds_the_number_of_pods(rules: Policy, state: State, moment: Reading, how: str) -> None:
    assume(state.replicas > 0)
    stale = {
        "uncounted": replace(moment, rows=None),
        "old": replace(moment, counted_at=moment.now - 3 * rules.period - 1),
        "silent": replace(moment, silent=1),
        "mute": replace(moment, told=0),
    }[how]
    state = replace(state, mute_since=START - 15) if how == "silent" else state
    decision, after = decide(rules, stale, state)
    assert decision.desired == rules.within(state.replicas)
    assert decision.reason == "MetricsUnavailable" or rules.within(state.replicas) == 0
    assert (after.capacity, after.block, after.start_seconds) == (state.capacity, state.block, state.start_seconds)


@given(policies(), states(), readings(), st.integers(0, 100_000))
def test_more_rows_never_mean_fewer_pods(rules: Policy, state: State, moment: Reading, more: int) -> None:
    # While a step up is on trial more rows are what tells that it does not help.
    state = replace(state, trial=None, silent_since=None)
    moment = replace(moment, rows=min(moment.rows or 0, more), lag=moment.lag if moment.rows else None)
    larger = replace(moment, rows=max(moment.rows or 0, more))
    few, many = estimate(rules, moment, state), estimate(rules, larger, state)
    assert few.need <= many.need
    if few.want is not None and many.want is not None:
        assert few.want <= many.want
        assert decide(rules, moment, state)[0].desired <= decide(rules, larger, state)[0].desired


@given(lives())
def test_while_a_gate_is_shut_there_are_never_more_pods(life: tuple[Policy, State, list[Reading]]) -> None:
    rules, state, moments = life
    for decision, before, _ in played(rules, state, moments):
        held = rules.within(before.replicas)
        if any(gate.shut for gate in decision.gates) and held > 0:
            assert decision.desired <= held


@given(lives())
def test_pods_come_by_no_more_than_twice_as_many_each_15_seconds_and_go_by_a_quarter_each_minute(
    life: tuple[Policy, State, list[Reading]],
) -> None:
    rules, state, moments = life
    raised, lowered = state.raised_at, state.lowered_at
    for decision, before, _ in played(rules, state, moments):
        held = rules.within(before.replicas)
        if decision.step == "ScaledUp" and decision.before == held:
            assert decision.desired <= max(2 * held, held + 2)
            assert decision.at - raised >= 15
            raised = decision.at
        elif decision.step == "Woken":
            raised = decision.at
        elif decision.step in ("ScaledDown", "ScaledToZero") and decision.before == held:
            assert held - decision.desired <= max(1, held // 4)
            assert decision.step == "ScaledToZero" or decision.at - lowered >= 60
            lowered = decision.at
        elif decision.step == "ScaleReverted":
            lowered = decision.at


@given(policies(), states(), readings())
def test_the_same_in_gives_the_same_out(rules: Policy, state: State, moment: Reading) -> None:
    assert decide(rules, moment, state) == decide(rules, moment, state)
    assert len(gates(rules, moment, state, estimate(rules, moment, state))) == 6


@settings(max_examples=25)
@given(rate=st.floats(5, 1000), seed=st.integers(0, 10**6), noise=st.floats(0, 0.2), begun=st.integers(1, 12))
def test_noise_of_a_fifth_around_a_level_load_causes_no_flapping(
    rate: float, seed: int, noise: float, begun: int
) -> None:
    """Measured as turns: how often the number of pods goes one way after it went the other, in two hours. The way down
    or up to the right number is no turn, and one correction of it is allowed."""
    plant = Plant(lambda _now: rate, replicas=begun, noise=noise, seed=seed).run(7200)
    assert plant.turns() <= 1
    assert len({number for at, number in plant.history if at > 3600}) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_load_that_swings_within_what_pods_can_take_moves_nothing(seed: int) -> None:
    plant = Plant(lambda now: 300.0 + 60.0 * (now // 60 % 2), replicas=6, noise=0.1, seed=seed).run(7200)
    assert plant.turns() == 0
