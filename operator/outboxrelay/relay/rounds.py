"""Publishing with one row of each key in flight: slower where keys repeat, and no row is ever overtaken."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rounds import rounds
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId
from outboxrelay.relay.ports import Publisher

if TYPE_CHECKING:
    from outboxrelay.errors import TopicFault


async def publish_in_rounds(publisher: Publisher, rows: Sequence[Row]) -> Outcome:
    """As Publisher.publish, but a row leaves only when the row before it in its key has arrived."""
    refusals: list[Refusal] = []
    blocked: list[TopicFault] = []
    unsent: set[RowId] = set()
    stopped: set[str] = set()
    confirmed: list[RowId] = []
    for part in rounds(rows):
        ready = [row for row in part if row[KEY] not in stopped]
        unsent.update(row[ROW_ID] for row in part if row[KEY] in stopped)
        if not ready:
            continue
        outcome = await publisher.publish(ready)
        if isinstance(outcome, Broken):
            return Broken(outcome.fault, (*confirmed, *outcome.confirmed), outcome.overtaken)
        away: set[RowId] = set()
        if isinstance(outcome, Refused):
            refusals += outcome.refusals
            blocked += outcome.blocked
            away = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
            unsent |= outcome.unsent
            stopped.update(key for row in ready if row[ROW_ID] in away and (key := row[KEY]) is not None)
        confirmed += [row[ROW_ID] for row in ready if row[ROW_ID] not in away]
    if refusals or unsent:
        return Refused(tuple(refusals), frozenset(unsent), 0, tuple(blocked))
    return Delivered()
