"""What the leader remembers of each relay between two looks. Nothing here is truth: a new leader starts without it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.status import OutboxRelayStatus
from outboxrelay.controller.plan import Applied, Desired
from outboxrelay.controller.scaling import Scaled
from outboxrelay.controller.secrets import SecretValues
from outboxrelay.decisions.backlog import Progress
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.refusals import Refusal
from outboxrelay.decisions.transitions import News

NEVER = float("-inf")


@dataclass(slots=True)
class Refused:
    """An object that the API server did not take."""

    digest: str
    at: float
    refusal: Refusal


@dataclass(slots=True)
class Memory:
    """One relay, as long as its uid is the same."""

    uid: str
    since: float
    """When this leader first looked at it."""
    manifest: RelayManifest | None = None
    """The spec as it was last read, of the generation that it names."""
    desired: Desired | None = None
    """The children that were last worked out from it."""
    secrets: SecretValues | None = None
    credentials: str = ""
    """Hash of what the Secrets held when pods were last made from it."""
    surveyed_at: float = NEVER
    """When Secrets and every child were last read."""
    surveyed_generation: int = -1
    applied: dict[str, Applied] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    repairs: list[float] = field(default_factory=list)
    """When drift was repaired lately."""
    heard: dict[str, float] = field(default_factory=dict)
    """When each pod that should answer last did."""
    late: float = 0.0
    """Seconds by which the operator had come late to its own work, at the last look."""
    source_scope: str = ""
    """Hosts of the database, as last known."""
    news: tuple[News, ...] = ()
    """Events about incidents, until the status that tells of them is written."""
    progress: Progress | None = None
    scaled: Scaled | None = None
    """What the number of pods was last decided from; None where nobody decides."""
    awaited: str = ""
    """Digest of the pod template that was wanted at the last look."""
    stopping: str = ""
    """Type of the incident for which this relay was last told to stop an upgrade."""
    status: OutboxRelayStatus | None = None
    """As last written, or as found."""
    written_at: float = NEVER


class Memories:
    """Memory by relay."""

    def __init__(self) -> None:
        self._memories: dict[Key, Memory] = {}

    def of(self, key: Key, uid: str, now: float, fresh: Callable[[], OutboxRelayStatus]) -> Memory:
        """The memory of the relay; a relay that was created anew is a stranger."""
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memories[key] = Memory(uid, now, status=fresh())
        return memory

    def items(self) -> list[tuple[Key, Memory]]:
        """Every relay that was looked at."""
        return list(self._memories.items())

    def forget(self, key: Key) -> None:
        """Drop a relay that is gone."""
        self._memories.pop(key, None)
