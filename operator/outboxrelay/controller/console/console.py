"""The pages by their addresses, what a standby says instead, and what is said of addresses that lead nowhere."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from outboxrelay import __version__
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.console import chains_page, fleet_page, incidents_page, relay_page
from outboxrelay.controller.console.answers import Answer, Request
from outboxrelay.controller.console.guard import refusal
from outboxrelay.controller.console.history import Numbers
from outboxrelay.controller.console.knowledge import Knowledge, Standing
from outboxrelay.controller.console.rendering import clock_time, render, static
from outboxrelay.errors import InvalidInput

RELAY = re.compile(r"/relays/([^/]{1,253})/([^/]{1,253})")
POD = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
ASSETS = {
    "/console.css": "text/css; charset=utf-8",
    "/console.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}


class Console:
    """The console of one process, standing by or leading."""

    def __init__(self, standing: Callable[[], Standing], *, clock: Clock) -> None:
        self._standing = standing
        self._clock = clock
        self._knowledge: Knowledge | None = None
        self._assets = {path: Answer(static(path[1:]), content_type=kind) for path, kind in ASSETS.items()}

    async def lead(self, knowledge: Knowledge, numbers: Numbers) -> None:
        """Show what a leader knows, and keep its last hour, until cancelled."""
        self._knowledge = knowledge
        try:
            await knowledge.history.follow(numbers)
        finally:
            self._knowledge = None

    def answer(self, request: Request) -> Answer:
        """Answer from memory."""
        refused = refusal(request)
        if refused is not None:
            return refused
        if request.path in self._assets:
            return self._assets[request.path]
        standing = self._standing()
        if self._knowledge is None:
            return self._standby(standing)
        try:
            return self._page(request, self._knowledge, standing)
        except InvalidInput as problem:
            return self._told(standing, 400, "This address says something that cannot be", str(problem))

    def _page(self, request: Request, knowledge: Knowledge, standing: Standing) -> Answer:
        now = self._clock.now()
        match request.path:
            case "/":
                view = fleet_page.view_of(request.query)
                return self._rendered("fleet", standing, fleet_page.context(view, knowledge.rows(), knowledge.history))
            case "/incidents":
                return self._rendered("incidents", standing, incidents_page.context(knowledge.rows(), now))
            case "/chains":
                return self._rendered("chains", standing, chains_page.context(knowledge))
        place = RELAY.fullmatch(request.path)
        if place is None:
            return self._told(standing, 404, "There is no such page", "see the fleet, the incidents or the chains")
        body = knowledge.body((place[1], place[2]))
        if body is None:
            text = f"the operator knows no OutboxRelay {place[2]} in namespace {place[1]}: it is gone, or never was"
            return self._told(standing, 404, "There is no such relay", text)
        return self._rendered("relay", standing, relay_page.context(body, knowledge, now))

    def _standby(self, standing: Standing) -> Answer:
        holder = standing.holder
        other = holder if POD.fullmatch(holder) and holder != standing.identity else ""
        return self._rendered("standby", standing, {"other": other})

    def _told(self, standing: Standing, status: int, title: str, text: str) -> Answer:
        return self._rendered("told", standing, {"title": title, "text": text}, status)

    def _rendered(self, page: str, standing: Standing, context: Mapping[str, Any], status: int = 200) -> Answer:
        frame = {"page": page, "standing": standing, "version": __version__, "now": clock_time(self._clock.now())}
        return Answer(render(f"{page}.html", {**frame, **context}), status)
