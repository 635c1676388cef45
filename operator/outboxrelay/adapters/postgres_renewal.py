"""Other credentials for the database: connections with them are made beside those in use, then take their place."""

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_lane import Lane
from outboxrelay.adapters.renewable_credentials import OneSide, RenewableCredentials, Values
from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault


class PostgresRenewal(OneSide):
    """Satisfies the relay's Renewal for the database.

    ``lanes`` are those that the pump waits for; others follow by themselves with their next statement.
    """

    def __init__(self, credentials: RenewableCredentials, control: PostgresControl, *lanes: Lane) -> None:
        super().__init__(credentials)
        self._control = control
        self._lanes = lanes
        self._prepared: Values | None = None

    async def prepare(self) -> str:
        """Connect with what the files hold, verified; its fingerprint. Raises SourceFault."""
        values = self._credentials.on_file()
        self._prepared = None
        try:
            for lane in self._lanes:
                await lane.prepare(values)
            await self._control.prepare(values)
        except BaseException as error:
            await self.drop()
            if isinstance(error, SourceFault):
                self._credentials.refuse(values)
            raise
        self._prepared = values
        return values.fingerprint

    async def switch(self) -> None:
        """The session hands its locks over, and data goes through what was prepared; raises SourceFault.

        Then what was in use before still is, or the control session is lost and notices that by itself.
        """
        values, self._prepared = self._prepared, None
        if values is None or not self._control.is_prepared or not all(lane.is_prepared(values) for lane in self._lanes):
            await self.drop()
            raise SourceFault(Reason.CONNECT_FAILED, "the connections that were prepared have ended meanwhile")
        try:
            await self._control.hand_over()
        except SourceFault:
            await self.drop()
            raise
        self._credentials.adopt(values)

    async def drop(self) -> None:
        """Give up what was prepared."""
        self._prepared = None
        for lane in self._lanes:
            await lane.drop()
        await self._control.drop()

    async def close(self) -> None:
        """End what was prepared."""
        await self.drop()
