"""outboxrelay top in a terminal: reads the fleet again and again, and draws what is wanted of it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from outboxrelay.cli.fleet_keys import View, pressed, scrolled
from outboxrelay.cli.fleet_table import summary, table
from outboxrelay.cli.relays import Relays
from outboxrelay.cli.styled import Line, Span, line
from outboxrelay.cli.terminal import Terminal
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.fleet import Row, arranged, chosen, printable, row_of, totals
from outboxrelay.decisions.retries import BackoffPolicy, ceiling
from outboxrelay.errors import CannotRun, ClusterFault, InvalidInput

LONGEST_WAIT = 30.0
"""Seconds between two tries at most while the API server does not answer."""
AROUND = 4
"""Lines that are no rows: the summary, what is shown, the head, and the keys."""
HELP = "q quit  s sort  r reverse  f failing  / filter  ↑↓ scroll  Esc show all"


@dataclass(frozen=True, slots=True)
class Picture:
    """What was last read, and what has been wrong since."""

    rows: tuple[Row, ...]
    at: datetime
    place: str
    failed_since: datetime | None = None
    fault: str = ""


def screen(picture: Picture, view: View, now: datetime, *, width: int, height: int, namespaces: bool) -> list[Line]:
    """The lines of the terminal: ``height`` of them, each at most ``width`` characters."""
    rows = _wanted(picture, view)
    page = max(1, height - AROUND)
    first = scrolled(view, rows=len(rows), page=page).first
    shown = slice(first, first + page)
    body = table(rows, width=width, namespaces=namespaces, wide=False, shown=shown)
    if not rows:
        body = [line("no relay fits; Esc shows all" if picture.rows else "no OutboxRelay found", "dim")]
    lines = [summary(totals(picture.rows), len(rows), width=width), _told(picture, view, now), *body]
    lines = lines[: height - 1]
    lines += [Line()] * (height - 1 - len(lines))
    return [item.clipped(width) for item in (*lines, _foot(view, len(rows), shown))]


def _told(picture: Picture, view: View, now: datetime) -> Line:
    if picture.failed_since is not None:
        since = f"{picture.failed_since:%H:%M:%S}"
        lasts = lag_display((now - picture.failed_since).total_seconds())
        read = f"{picture.at:%H:%M:%S}"
        return line(f"as of {read} UTC; no news since {since} ({lasts}), trying again: {picture.fault}", "bold red")
    order = f"by {view.sort.value}{' reversed' if view.reverse else ''}"
    parts = [picture.place, f"{picture.at:%H:%M:%S} UTC", order, *(["only failing"] if view.failing else [])]
    return line("  ".join([*parts, *([f"filter {view.text!r}"] if view.text else [])]), "dim")


def _foot(view: View, rows: int, shown: slice) -> Line:
    if view.editing is not None:
        return line(f"/{view.text}█  Enter keep, Esc undo", "bold")
    more = f"{shown.start + 1}-{min(shown.stop, rows)} of {rows}  " if rows > shown.stop - shown.start else ""
    return Line((Span(more, "bold"), Span(HELP, "dim")))


def _wanted(picture: Picture, view: View) -> list[Row]:
    return arranged(chosen(picture.rows, text=view.text, failing=view.failing), view.sort, reverse=view.reverse)


class Fleet:
    """The live command: a task that reads, and one that draws when something changed."""

    def __init__(self, relays: Relays, view: View, *, interval: float, namespaces: bool) -> None:
        self._relays = relays
        self._view = view
        self._interval = interval
        self._namespaces = namespaces
        self._picture: Picture
        self._terminal: Terminal
        self._changed = asyncio.Event()
        self._quit = False

    async def run(self) -> int:
        """Draw until somebody ends it; the exit code. Raises what the first reading raises: no picture then."""
        self._picture = await self._read()
        terminal = self._terminal = Terminal(self._key, self._changed.set)
        with terminal.shown():
            reading = asyncio.create_task(self._keep_reading())
            try:
                while not (self._quit or terminal.ended.done()):
                    self._draw(terminal)
                    await self._news(terminal.ended, reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        return terminal.ended.result() if terminal.ended.done() else 0

    async def _news(self, *ends: "asyncio.Future[int] | asyncio.Task[None]") -> None:
        """Until something is to be drawn, for a second at most: what is told since when grows older."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            done, _ = await asyncio.wait([changed, *ends], timeout=1, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        self._changed.clear()
        for end in done:
            # A bug in the task that reads ends the command.
            end.result()

    async def _keep_reading(self) -> None:
        failures = 0
        while True:
            wait = ceiling(BackoffPolicy(self._interval, max(self._interval, LONGEST_WAIT), 2), failures)
            await asyncio.sleep(wait or self._interval)
            try:
                self._picture = await self._read()
                failures = 0
            except (ClusterFault, CannotRun, InvalidInput) as error:
                failures += 1
                since = self._picture.failed_since or _now()
                old = self._picture
                self._picture = Picture(old.rows, old.at, old.place, since, printable(str(error)))
            self._changed.set()

    async def _read(self) -> Picture:
        rows = tuple(row_of(body) for body in await self._relays.list())
        place = f"namespace {self._relays.namespace}" if self._relays.namespace else "all namespaces"
        return Picture(rows, _now(), place)

    def _key(self, key: str) -> None:
        page = max(1, self._terminal.size().lines - AROUND)
        view = pressed(self._view, key, rows=len(_wanted(self._picture, self._view)), page=page)
        if view is None:
            self._quit = True
        else:
            self._view = view
        self._changed.set()

    def _draw(self, terminal: Terminal) -> None:
        width, height = terminal.size()
        terminal.draw(
            screen(self._picture, self._view, _now(), width=width, height=height, namespaces=self._namespaces)
        )


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a composition root
