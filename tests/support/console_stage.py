"""A console with relays to show, as a leader would have it: bodies, pods, what pods say, and their last hour."""

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.http_server import serve_site
from outboxrelay.api.report import Delivery, FlowState, RelayReport, Shards
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.console.answers import Answer, Request
from outboxrelay.controller.console.console import Console
from outboxrelay.controller.console.history import POINTS, History
from outboxrelay.controller.console.knowledge import Knowledge, Standing
from outboxrelay.controller.probes import Results
from outboxrelay.controller.relay_metrics import RelayNumbers
from outboxrelay.controller.relays import Relays
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import PodReport
from outboxrelay.decisions.fleet import row_of
from tests.support.relay_bodies import pod_body, report
from tests.support.tasks import owned

Object = dict[str, Any]
ME = "outbox-relay-operator-5d9c7-x2x4k"


class Stage:
    """Puts relays before a console."""

    def __init__(self, bodies: Iterable[Object] = (), *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.relays, self.history = Relays(), History()
        self.pods: dict[Key, list[Object]] = {}
        self.results: dict[Key, Results] = {}
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
        """Waves that end at what the statuses say."""
        for point in range(POINTS):
            self.history.record(
                (
                    key,
                    RelayNumbers(
                        backlog_rows=_wave(n.backlog_rows, point, key), lag_seconds=_wave(n.lag_seconds, point, key)
                    ),
                )
                for key, n in self.numbers()
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
            self.results[key] = Results(reports=reports)

    def _report(self, name: str, rate: int, members: int, at: int) -> PodReport:
        shards = Shards(total=16, owned=list(range(at, 16, members)), members=members)
        flow = (
            FlowState(state="Ramping", rows_per_second=500, reason="the brokers came back 40 s ago")
            if at
            else FlowState()
        )
        delivery = Delivery(
            rows_per_second=rate / members, busy_share=0.1 + at * 0.2 % 0.9, in_flight_rows=rate // 20, flow=flow
        )
        said: RelayReport = report(member=name).model_copy(update={"shards": shards, "delivery": delivery})
        return PodReport(self.clock.monotonic(), said)

    def knowledge(self) -> Knowledge:
        """The leader's."""
        return Knowledge(
            self.relays,
            lambda key: self.pods.get(key, []),
            lambda key: self.results.get(key, Results()),
            self.clock,
            self.history,
        )

    @asynccontextmanager
    async def leading(self) -> AsyncIterator["Stage"]:
        """While it leads."""
        async with owned(self.console.lead(self.knowledge(), tuple)):
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


def _wave(now: float | None, point: int, key: Key) -> Any:
    """A course of an hour that ends at ``now``."""
    if now is None:
        return None if point > POINTS // 2 else 20 + 10 * math.sin(point / 9)
    phase = sum(map(ord, key[1]))
    left = POINTS - 1 - point
    if now > 1000 and phase % 3:
        return now * max(0.02, 1 - left / (60 + phase % 90)) if left else now
    return max(
        0,
        round(
            now * (1 + 0.5 * math.sin(left / (6 + phase % 11)) * min(1, left / 5))
            + (phase + left * 7) % 3 * min(left, 1)
        ),
    )
