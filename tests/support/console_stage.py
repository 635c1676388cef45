"""A console with relays to show, as a leader would have it: bodies, pods, what pods say, and their last hour."""

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.http_server import serve_site
from outboxrelay.api.report import Delivery, FlowState, RelayReport, Shards
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.console.answers import Answer, Request
from outboxrelay.controller.console.console import Console
from outboxrelay.controller.console.history import PERIOD_SECONDS, POINTS, History
from outboxrelay.controller.console.knowledge import Knowledge, Standing
from outboxrelay.controller.probes import Results
from outboxrelay.controller.relay_metrics import RelayNumbers
from outboxrelay.controller.relays import Relays
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import PodReport
from outboxrelay.decisions.fleet import Row, row_of
from tests.pictures.fleet import bodies as thirty
from tests.support.console_details import detailed
from tests.support.relay_bodies import pod_body, report
from tests.support.tasks import owned

Object = dict[str, Any]
ME = "outbox-relay-operator-5d9c7-x2x4k"


def fleet(clock: Clock | None = None) -> "Stage":
    """Thirty relays in mixed states, shop/stock with all that there is to say of one, each with pods and an hour."""
    stage = Stage(clock=clock)
    now = stage.clock.now()
    for body in thirty(now):
        stage.put(detailed(body, now) if body["metadata"]["name"] == "stock" else body)
    stage.remember_an_hour()
    stage.add_pods()
    return stage


class Stage:
    """Puts relays before a console."""

    def __init__(self, bodies: Iterable[Object] = (), *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.relays, self.history = Relays(), History()
        self.pods: dict[Key, list[Object]] = {}
        self.reports: dict[Key, dict[str, RelayReport]] = {}
        self.age = 0.0
        """Seconds since pods told of themselves."""
        self.standing = Standing(ME, leads=True, holder=ME, namespace="outboxrelay-system", port=8081)
        self.console = Console(lambda: self.standing, clock=self.clock)
        for body in bodies:
            self.put(body)

    def put(self, body: Object) -> None:
        """An OutboxRelay as the watch delivers it."""
        body["metadata"].setdefault("uid", "uid-of-" + body["metadata"]["name"])
        self.relays.deliver("ADDED", body)

    def numbers(self) -> list[tuple[Key, RelayNumbers]]:
        """As they stand in the statuses."""
        rows = [row_of(body) for body in self.relays.bodies()]
        return [
            ((row.namespace, row.name), RelayNumbers(backlog_rows=row.backlog, lag_seconds=row.lag)) for row in rows
        ]

    def remember_an_hour(self) -> None:
        """A course that ends at what the statuses say."""
        dice = random.Random(1)
        rows = [row_of(body) for body in self.relays.bodies()]
        for left in reversed(range(POINTS)):
            self.history.record(
                (
                    (r.namespace, r.name),
                    RelayNumbers(backlog_rows=_backlog(r, left, dice), lag_seconds=_lag(r, left, dice)),
                )
                for r in rows
            )

    def add_pods(self) -> None:
        """As many as status.scaling asks for; one of each relay that fails is not ready."""
        for body in self.relays.bodies():
            row = row_of(body)
            key = (row.namespace, row.name)
            ready, asked = (int(part) for part in (row.pods if "/" in row.pods else "0/0").split("/")[:2])
            names = [f"{row.name}-relay-7d4f9c8b5-{number:05x}" for number in range(40961, 40961 + asked)]
            self.pods[key] = [pod_body(name, ready=at < ready) for at, name in enumerate(names)]
            reports = {name: self._report(name, row.delivered or 0, asked, at) for at, name in enumerate(names[:ready])}
            self.reports[key] = reports

    def _report(self, name: str, rate: int, members: int, at: int) -> RelayReport:
        shards = Shards(total=16, owned=list(range(at, 16, members)), members=members)
        flow = (
            FlowState(state="Ramping", rows_per_second=500, reason="the brokers came back 40 s ago")
            if at
            else FlowState()
        )
        delivery = Delivery(
            rows_per_second=rate / members, busy_share=0.1 + at * 0.2 % 0.9, in_flight_rows=rate // 20, flow=flow
        )
        return report(member=name).model_copy(update={"shards": shards, "delivery": delivery})

    def knowledge(self) -> Knowledge:
        """The leader's."""
        return Knowledge(
            self.relays,
            lambda key: self.pods.get(key, []),
            self._results,
            self.clock,
            self.history,
        )

    def _results(self, key: Key) -> Results:
        told = self.clock.monotonic() - self.age
        return Results(reports={name: PodReport(told, said) for name, said in self.reports.get(key, {}).items()})

    @asynccontextmanager
    async def leading(self) -> AsyncIterator["Stage"]:
        """While it leads."""
        async with owned(self.console.lead(self.knowledge(), self.numbers)):
            yield self

    def get(self, path: str, query: Mapping[str, str] | None = None, **changes: str) -> Answer:
        """What a browser gets that asks as people do."""
        return self.console.answer(
            Request(**{"method": "GET", "host": "localhost:8081", **changes}, path=path, query=query or {})
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The address under which it is served on this machine."""
        async with serve_site(lambda *call: self.console.answer(Request(*call)), 0, "--console-port") as port:
            yield f"http://localhost:{port}"


def _backlog(row: Row, left: int, dice: random.Random) -> int | None:
    """Rows that waited ``left`` points ago."""
    if row.backlog is None:
        return None if left * PERIOD_SECONDS < 600 else dice.randint(10, 60)
    if not row.late:
        return round(row.backlog * dice.uniform(0.4, 1.6)) if left else row.backlog
    share = max(0.03, 1 - left * PERIOD_SECONDS / max(row.lag or 1, 300))
    return round(row.backlog * share * (dice.uniform(0.9, 1) if left else 1))


def _lag(row: Row, left: int, dice: random.Random) -> float | None:
    """Seconds that the oldest row waited then: where nothing moves, a second more each second."""
    if row.lag is None:
        return None if row.backlog is None and left * PERIOD_SECONDS < 600 else dice.uniform(0, 3)
    if not row.late:
        return row.lag * dice.uniform(0.5, 1.5) + (dice.random() if left and row.backlog else 0)
    return max(dice.uniform(0, 4), row.lag - left * PERIOD_SECONDS)
