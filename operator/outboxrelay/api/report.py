"""What a relay pod says of itself at /state: the only thing the controller knows of a pod from the inside."""

from datetime import datetime
from typing import Literal

from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.model import ApiModel


class Health(ApiModel):
    """One side of the relay: the database or the brokers."""

    healthy: bool | None = None
    """None until it has been tried."""
    reason: str = "Pending"
    """A value of names.Reason."""
    message: str = ""
    """One line, without credentials."""
    since: datetime | None = None
    """When healthy or reason last changed."""


class HeldRow(ApiModel):
    """A row that cannot be sent, and with it the later rows of its key wait."""

    row_id: int | str
    key: str | None
    """The ordering key, at most 200 characters of it; None for a row without a key, which holds only itself."""
    event_id: str
    reason: str
    """RowTooLarge, RowRejected, RowUnmappable or RowEndsProcess."""
    message: str
    since: datetime
    attempts: int
    """How often the row was tried by this process."""


class Held(ApiModel):
    """Keys whose delivery waits, because one row of each cannot be sent."""

    keys: int = 0
    overtaken_rows: int = 0
    """Rows that arrived although a row before them with the same key was then refused by the broker."""
    rows: list[HeldRow] = []
    """The row that holds each key, oldest first, at most 20."""


class BlockedTopic(ApiModel):
    """A topic that takes nothing while others do; rows that name it wait."""

    topic: str
    reason: str
    message: str
    since: datetime
    retry_at: datetime


class Quarantine(ApiModel):
    """Rows of this relay that were moved aside, as the database holds them."""

    rows: int | None = None
    """None where the table outboxrelay.quarantine cannot be read."""
    limit_reached: bool = False
    """Whether rows are held because spec.poison.maxQuarantinedRows are in quarantine already."""
    moved_total: int = 0
    """Rows that this process moved to quarantine or to the dead letter topic."""


class TransactionHolder(ApiModel):
    """Whoever keeps old row versions from being removed, or rows from being read with visibility Settled."""

    description: str
    """For example: pid 4711 (user shop, application report, idle in transaction) for 95 s."""


class Shards(ApiModel):
    """Which slices of the key space this pod owns."""

    total: int
    owned: list[int] = []
    draining: list[int] = []
    members: int = 0
    """Pods that share the shards, this one included."""


class FlowState(ApiModel):
    """How fast the relay may go now."""

    state: Literal["Free", "Limited", "Ramping", "Halved"] = "Free"
    rows_per_second: float | None = None
    """None: as fast as the brokers confirm."""
    reason: str = ""


class Delivery(ApiModel):
    """What went through this pod since it started."""

    rows_total: int = 0
    bytes_total: int = 0
    """Bytes of keys and values."""
    rows_per_second: float = 0.0
    """Mean of about the last ten seconds."""
    busy_share: float = 0.0
    """Share of about the last ten seconds in which a batch was on its way, 0 to 1."""
    in_flight_rows: int = 0
    last_delivered_at: datetime | None = None
    last_read_at: datetime | None = None
    """When the table was last read with success."""
    circuit: Literal["Closed", "Open"] = "Closed"
    retry_at: datetime | None = None
    """When an open circuit is tried again."""
    flow: FlowState = FlowState()


class RelayReport(ApiModel):
    """The body of GET /state."""

    identity: RelayIdentity
    version: str
    member: str
    """Name of the pod, or host and process id by hand."""
    started_at: datetime
    observed_at: datetime
    state: Literal["Starting", "Running", "Paused", "Stopping"]
    ready: bool
    floor: int | None = None
    """No row with a smaller id was pending when the relay last swept the table; a hint for counting."""
    shards: Shards
    source: Health
    target: Health
    delivery: Delivery
    held: Held
    blocked_topics: list[BlockedTopic] = []
    quarantine: Quarantine = Quarantine()
    holder: TransactionHolder | None = None
    """Set while an open transaction holds something back for longer than is usual."""
    limitations: list[str] = []
    """What this relay cannot do as it is set up, each a sentence with what to do about it."""
    notices: list[str] = []
    """What somebody should know, for example that a topic has more partitions than before, or that a Secret was changed
    to something that does not work."""
