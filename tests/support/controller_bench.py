"""The controller's parts put together over fakes, one look at a time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from outboxrelay.api.report import RelayReport
from outboxrelay.api.source import Database
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.controller.apply import Applier
from outboxrelay.controller.claims import Claims
from outboxrelay.controller.events import Events
from outboxrelay.controller.incidents import IncidentKeeper
from outboxrelay.controller.lateness import Lateness
from outboxrelay.controller.metrics import Metrics
from outboxrelay.controller.prober import Prober
from outboxrelay.controller.reconcile import Reconciler
from outboxrelay.controller.relays import Relays
from outboxrelay.controller.reporter import Reporter
from outboxrelay.controller.rollouts import Rollouts
from outboxrelay.controller.scaling import Autoscaler
from outboxrelay.controller.survey import Surveyor
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Exclusions, TableCount
from outboxrelay.decisions.incidents.notices import Notice
from outboxrelay.decisions.pacing import survey_interval
from outboxrelay.manifests.kinds import DEPLOYMENT, DISRUPTION_BUDGET, RELAY, ResourceKind
from tests.support.fake_kube import FakeKube
from tests.support.moved_clock import MovedClock
from tests.support.tasks import owned
from tests.support.waiting import until

if TYPE_CHECKING:
    from outboxrelay.errors import Fault

Secrets = Mapping[tuple[str, str], str]
MOMENT = 2**-10
"""Seconds; adds up without a rest."""


class FakeWorld:
    """Databases, brokers and pods as a test wants them; satisfies the prober's ports."""

    def __init__(self) -> None:
        self.source_fault: Fault | None = None
        self.target_fault: Fault | None = None
        self.counted = TableCount(rows=0, exact=True, oldest_age=None)
        self.reports: dict[str, RelayReport] = {}
        self.asked_with: list[str] = []
        self.exclusions: list[Exclusions] = []

    def locate(self, database: Database, secrets: Secrets) -> tuple[tuple[tuple[str, int], ...], str]:
        return ((next(iter(secrets.values())), 5432),), "shop"

    async def count(
        self, spec: OutboxRelaySpec, secrets: Secrets, exclusions: Exclusions, seconds: float
    ) -> TableCount:
        self.asked_with += secrets.values()
        self.exclusions.append(exclusions)
        if self.source_fault:
            raise self.source_fault
        return self.counted

    async def check(self, spec: OutboxRelaySpec, secrets: Secrets, seconds: float) -> None:
        if self.target_fault:
            raise self.target_fault

    async def fetch(self, address: str, seconds: float) -> RelayReport | None:
        return self.reports.get(address)


class FakeCache:
    """Watched children that are never behind."""

    def __init__(self, kube: FakeKube) -> None:
        self._kube = kube
        self.pod_bodies: list[dict[str, Any]] = []
        self.pods_of: dict[Key, list[dict[str, Any]]] = {}
        """Where relays have pods of their own."""

    def deployment(self, key: Key, name: str) -> dict[str, Any] | None:
        return self._kube.objects.get((DEPLOYMENT.kind, key[0], name))

    def budget(self, key: Key, name: str) -> dict[str, Any] | None:
        return self._kube.objects.get((DISRUPTION_BUDGET.kind, key[0], name))

    def pods(self, key: Key) -> list[dict[str, Any]]:
        return self.pods_of.get(key, self.pod_bodies)

    def remember(self, kind: ResourceKind, body: Mapping[str, Any]) -> None:
        """Nothing is behind."""


class Told:
    """What people were told; satisfies the keeper's ports."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.renewed: list[Notice] = []
        self.adopted: list[Notice] = []
        self.counted: list[tuple[str, str]] = []

    def tell(self, notice: Notice, *, wait: float = 0.0) -> None:
        self.notices.append(notice)

    def renew(self, notice: Notice, *, wait: float = 0.0) -> None:
        self.renewed.append(notice)

    def adopt(self, notice: Notice) -> None:
        self.adopted.append(notice)

    def opened(self, kind: str, severity: str, seconds: float | None) -> None:
        self.counted.append((kind, severity))

    def states(self) -> list[tuple[str, str]]:
        """Type and state of what was told, in order."""
        return [(notice.incident.type, notice.state) for notice in self.notices]


class Bench:
    """A leader without its loops."""

    def __init__(self, kube: FakeKube | None = None, *, image: str = "relay:1", at_once: int = 5) -> None:
        self.kube, self.clock, self.world, self.relays = kube or FakeKube(), MovedClock(), FakeWorld(), Relays()
        self.cache = FakeCache(self.kube)
        self.metrics = Metrics()
        self.woken: list[Key] = []
        self.told = Told()
        claims = Claims(self.woken.append)
        self.lateness = Lateness(self.clock, self.metrics.late.inc)
        self.prober = Prober(
            self.world,
            self.world,
            self.world,
            self.metrics.probes,
            clock=self.clock,
            wake=self.woken.append,
            interval=1.0,
        )
        self.incidents = IncidentKeeper(
            self.told, self.told, clock=self.clock, interval=5, runbooks="https://books.example/incidents"
        )
        self.reconciler = Reconciler(
            self.relays,
            self.cache,
            Surveyor(
                self.kube,
                self.cache,
                claims,
                self.world,
                clock=self.clock,
                interval=lambda: survey_interval(len(self.relays)),
                image=image,
                priority_class="vip",
            ),
            Applier(self.kube, self.cache.remember, clock=self.clock),
            self.prober,
            Reporter(
                self.kube, Events(self.kube, clock=self.clock), self.incidents, clock=self.clock, interval=lambda: 15.0
            ),
            claims,
            Autoscaler(clock=self.clock, period=5.0),
            self.metrics.scaling,
            Rollouts(self.relays, clock=self.clock, at_once=at_once, watched=30.0),
            self.lateness,
            clock=self.clock,
            interval=5,
        )
        self.metrics.each.follow(self.reconciler.numbers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bench"]:
        """With the prober at work."""
        async with owned(self.prober.run()):
            yield self

    def create(self, body: dict[str, Any]) -> Key:
        """Somebody creates or changes an OutboxRelay."""
        return self.relays.deliver("ADDED", self.kube.put(RELAY, body))

    async def look(self, key: Key) -> float | None:
        """One look."""
        return await self.reconciler.reconcile(key)

    async def pass_time(self, seconds: float, *keys: Key) -> None:
        """Let time pass, and everybody be asked again about ``keys``.

        In two steps: an answer of the first may still come of a question from before it, one of the second does not."""
        for part in (seconds - MOMENT, MOMENT):
            self.clock.move(part)
            await until(partial(self._asked, keys), "fresh answers", 5, every=1.0)

    async def _asked(self, keys: tuple[Key, ...]) -> bool:
        found = [self.prober.results(key) for key in keys]
        probes = [probe for results in found for probe in (results.source, results.target, *results.reports.values())]
        return all(probe is None or probe.at == self.clock.monotonic() for probe in probes)

    def condition(self, key: Key, name: str = "Ready") -> dict[str, Any]:
        """A condition as it is written."""
        status = self.kube.objects[RELAY.kind, key[0], key[1]].get("status", {})
        return next((item for item in status.get("conditions", []) if item["type"] == name), {})

    def status(self, key: Key) -> dict[str, Any]:
        """status as it is written."""
        found: dict[str, Any] = self.kube.objects[RELAY.kind, key[0], key[1]].get("status", {})
        return found

    def events(self) -> list[str]:
        """Reasons of the Events, in order."""
        return [body["reason"] for (kind, _, _), body in self.kube.objects.items() if kind == "Event"]
