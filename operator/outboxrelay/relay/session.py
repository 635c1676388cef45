"""The life of one control session: join, pump and heartbeat side by side, leave. The end of one is the end of all."""

import asyncio

import structlog

from outboxrelay.relay.careful import Careful
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.membership import Membership
from outboxrelay.relay.poison import PoisonRows
from outboxrelay.relay.ports import PoisonStore
from outboxrelay.relay.pump import Pump
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.renewal import Renewals
from outboxrelay.relay.rest import Rest
from outboxrelay.relay.settler import Settler

log = structlog.get_logger(__name__)


class Session:
    """Runs one; memory of rows does not outlive it."""

    def __init__(
        self,
        *,
        membership: Membership,
        pump: Pump,
        circuit: Circuit,
        reader: Reader,
        held: HeldKeys,
        lanes: TopicLanes,
        careful: Careful,
        poison: PoisonRows,
        rest: Rest,
        settler: Settler,
        renewals: Renewals,
        store: PoisonStore,
    ) -> None:
        self._membership = membership
        self._pump = pump
        self._circuit = circuit
        self._reader = reader
        self._held = held
        self._lanes = lanes
        self._careful = careful
        self._poison = poison
        self._rest = rest
        self._settler = settler
        self._renewals = renewals
        self._store = store

    async def run(self) -> None:
        """Until the pump ends in order; raises SourceFault when the session is lost."""
        try:
            member = await self._membership.join()
            if self._renewals.moved():
                self._settler.forget()
            await self._poison.begin()
            await self._careful.begin(member)
            await self._rest.begin()
            await self._store.enter(member)
            await self._together()
            await self._store.leave(member)
        finally:
            await self._membership.leave()
            for part in (self._held, self._lanes, self._careful, self._poison, self._reader):
                part.forget()

    async def _together(self) -> None:
        left = asyncio.Event()
        pump = asyncio.create_task(self._pump.run(), name="pump")
        heartbeat = asyncio.create_task(self._membership.run(left), name="membership")
        try:
            # The heartbeat goes on while the pump drains: the locks are needed till the last row is settled.
            await asyncio.wait({pump, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            orderly = pump.done() and pump.exception() is None
        except BaseException:
            orderly = False
            raise
        finally:
            left.set()
            if not pump.done():
                pump.cancel()
            await asyncio.wait({pump})
            heartbeat.cancel()
            await asyncio.wait({heartbeat})
        for task in (pump, heartbeat):
            if not task.cancelled() and (error := task.exception()) is not None and not orderly:
                await self._circuit.reset()
                raise error
