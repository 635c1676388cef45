"""What the leader knows of relays, as the pages ask for it: all of it is in memory already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.controller.clock import Clock
from outboxrelay.controller.console.history import History
from outboxrelay.controller.observe import pod_facts
from outboxrelay.controller.probes import Results
from outboxrelay.controller.relays import Body, Relays, key_of
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import PodFacts, PodReport
from outboxrelay.decisions.fleet import Row, row_of


@dataclass(frozen=True, slots=True)
class Standing:
    """What this process is to the others."""

    identity: str
    leads: bool
    holder: str
    """Who holds the Lease, as last seen; empty where nobody is known to."""
    namespace: str
    """Where the operator runs."""
    port: int
    """Of the console."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A leader's."""

    relays: Relays
    pod_bodies: Callable[[Key], list[dict[str, Any]]]
    results: Callable[[Key], Results]
    clock: Clock
    history: History
    _rows: dict[Key, tuple[Body, Row]] = field(default_factory=dict)

    def bodies(self) -> list[Body]:
        """Every OutboxRelay, with the status that was last written."""
        return self.relays.bodies()

    def rows(self) -> list[Row]:
        """Every OutboxRelay in a line."""
        rows = [self.row(body) for body in self.relays.bodies()]
        if len(self._rows) > len(rows):
            for key in self._rows.keys() - set(self.relays.keys()):
                del self._rows[key]
        return rows

    def row(self, body: Body) -> Row:
        """One in a line, worked out once for each body: nobody changes a body that was delivered."""
        key = key_of(body)
        known = self._rows.get(key)
        if known is None or known[0] is not body:
            known = self._rows[key] = body, row_of(body)
        return known[1]

    def body(self, key: Key) -> Body | None:
        """One of them."""
        return self.relays.get(key)

    def pods(self, key: Key) -> list[PodFacts]:
        """Its pods by name."""
        found = [fact for fact in map(pod_facts, self.pod_bodies(key)) if fact]
        return sorted(found, key=lambda pod: pod.name)

    def reports(self, key: Key) -> Mapping[str, PodReport]:
        """What its pods said lately, by their names."""
        fresh = self.results(key).fresh_reports(self.clock.monotonic())
        return {item.report.member: item for item in fresh}
