"""What a pump works with, and what carries its batches: one set of parts for both."""

import asyncio
from dataclasses import dataclass

from outboxrelay.api.policy import Ordering
from outboxrelay.decisions.retries import BackoffPolicy
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.careful import Careful
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.flow import Flow
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.poison import PoisonRows
from outboxrelay.relay.ports import Clock, Publisher, RowSource
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.renewal import Renewals
from outboxrelay.relay.rest import Rest
from outboxrelay.relay.settler import Settler


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpParts:
    """Wired by relay.assembly."""

    source: RowSource
    publisher: Publisher
    circuit: Circuit
    settler: Settler
    ownership: Ownership
    held: HeldKeys
    lanes: TopicLanes
    poison: PoisonRows
    careful: Careful
    reader: Reader
    flow: Flow
    rest: Rest
    renewals: Renewals
    progress: Progress
    ordering: Ordering
    policy: BackoffPolicy
    health: HealthTracker
    beats: Beats
    clock: Clock
    stop: asyncio.Event
