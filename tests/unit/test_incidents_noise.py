"""Whatever is seen, in whatever order: no incident is open twice, and noise makes none flap."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.incidents.detect import Signal
from outboxrelay.decisions.incidents.kinds import MOST_CLOSE_TICKS
from outboxrelay.decisions.incidents.reduce import Incidents
from outboxrelay.decisions.incidents.status import as_status, from_status
from tests.support.incident_story import BROKER, CRASH, LAG, POISON, Story

MARKS = [BROKER, POISON, LAG, CRASH, Signal(BROKER.type, BROKER.reason, "m", "other:9092")]
LOOKS = st.lists(
    st.tuples(
        st.sets(st.sampled_from(range(len(MARKS)))),
        st.sets(st.sampled_from([str(item.type) for item in MARKS])),
        st.sampled_from([0.2, 1.0, 5.0, 7.0, 40.0, 700.0]),
        st.booleans(),
    ),
    max_size=80,
)


@given(LOOKS)
def test_whatever_is_seen_no_type_and_scope_is_open_twice_and_each_opening_has_one_end(
    looks: list[tuple[set[int], set[str], float, bool]],
) -> None:
    story, states = Story(), dict[str, bool]()
    for number, (seen, unknown, after, explained) in enumerate(looks):
        if number % 7 == 6:
            # Another leader takes over in the middle of it.
            story.incidents = Incidents(from_status(as_status(story.incidents.items, "docs/incidents")))
        changes = story.look(*(MARKS[index] for index in seen), after=after, unknown=list(unknown), explained=explained)
        for change in changes:
            incident = change.incident
            assert states.get(incident.id, False) != change.opened
            states[incident.id] = change.opened
            assert incident.detected_at >= incident.started_at
            assert incident.resolved_at is None or incident.resolved_at >= incident.started_at
        marks = [item.mark for item in story.incidents.open()]
        assert len(marks) == len(set(marks))
        assert {item.id for item in story.incidents.open()} == {name for name, is_open in states.items() if is_open}
        assert len({item.id for item in story.incidents.items}) == len(story.incidents.items)
    story.looks(MOST_CLOSE_TICKS + 1)
    assert story.incidents.open() == ()


@given(st.lists(st.booleans(), min_size=20, max_size=200))
def test_noise_does_not_make_it_flap(seen: list[bool]) -> None:
    story = Story()
    for bad in seen:
        story.look(*([BROKER] if bad else []))
    times = [moment for _, moment in story.changes]
    # It opens for two bad looks in a row and closes after at least three good ones, later more and more.
    assert len(story.changes) <= 5 + len(seen) // 13
    assert all(later > earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_an_hour_of_coin_tosses_opens_it_and_keeps_it(share: float) -> None:
    story, step = Story(), 0.0
    for number in range(720):
        step = (step + 0.618_033_988_7 + number % 3 * 0.1) % 1.0
        story.look(*([BROKER] if step < share else []))
    assert len(story.changes) <= 6
