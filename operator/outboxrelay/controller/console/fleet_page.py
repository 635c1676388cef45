"""The fleet: every relay in a table, the worst first, sorted and chosen by the address of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from outboxrelay.controller.console.curves import Curve, curve
from outboxrelay.controller.console.history import MINUTES, History
from outboxrelay.decisions.fleet import Row, Sort, arranged, chosen, totals
from outboxrelay.errors import InvalidInput

PAGE_ROWS = 100
"""Relays on a page: what is drawn at once is bounded, whatever the fleet."""
LONGEST_FILTER = 200
SPARK_WIDTH, SPARK_HEIGHT, SPARK_COLUMNS = 96, 22, 40
FEW_ROWS = 100
"""A backlog smaller than that fills no picture."""
COLUMNS = (
    (Sort.STATE, "State", "state"),
    (Sort.NAME, "Relay", "name"),
    (Sort.LAG, "Lag", "number"),
    (Sort.BACKLOG, "Backlog", "number"),
    (Sort.RATE, "Out/s", "number wide"),
    (None, "In/s", "number wide"),
    (None, "Pods", "number wide"),
    (Sort.INCIDENTS, "Incidents", "number middle"),
    (None, "Poison", "number wide"),
)
"""Heads, by what they sort, and how they are set. Wide and middle ones are left out where there is no room."""


@dataclass(frozen=True, slots=True)
class View:
    """What of the fleet is shown, as the address says."""

    sort: Sort = Sort.STATE
    reverse: bool = False
    failing: bool = False
    text: str = ""
    page: int = 1

    def address(self, **changes: Any) -> str:
        """The address of this view, or of one that differs; it begins on the first page."""
        view = replace(self, **{"page": 1, **changes})
        parts = {
            "q": view.text,
            "show": "failing" if view.failing else "",
            "sort": "" if view.sort is Sort.STATE else view.sort.value,
            "reverse": "1" if view.reverse else "",
            "page": str(view.page) if view.page > 1 else "",
        }
        query = urlencode({name: value for name, value in parts.items() if value})
        return f"/?{query}" if query else "/"

    def sorted_by(self, sort: Sort) -> str:
        """The address that sorts by it; the other way round where it does already."""
        return self.address(sort=sort, reverse=self.sort is sort and not self.reverse)

    def order_of(self, sort: Sort | None) -> str:
        """For aria-sort: numbers and states go down unless they are turned round, names up."""
        if sort is not self.sort:
            return "none"
        return "ascending" if (sort is Sort.NAME) is not self.reverse else "descending"


def view_of(query: Mapping[str, str]) -> View:
    """The view that an address asks for; raises InvalidInput."""
    sort, page = query.get("sort") or Sort.STATE.value, query.get("page") or "1"
    if sort not in {item.value for item in Sort}:
        raise InvalidInput(f"sort: {sort[:40]!r} is none of {', '.join(Sort)}")
    if not (page.isascii() and page.isdecimal() and 0 < len(page) < 7 and int(page)):
        raise InvalidInput(f"page: {page[:40]!r} is no number of a page; the first is 1")
    if (show := query.get("show", "")) not in ("", "all", "failing"):
        raise InvalidInput(f"show: {show[:40]!r} is none of all, failing")
    return View(
        sort=Sort(sort),
        reverse=query.get("reverse", "") not in ("", "0"),
        failing=show == "failing",
        text=" ".join(query.get("q", "")[:LONGEST_FILTER].split()),
        page=int(page),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A relay and its last hour."""

    row: Row
    backlog: Curve
    lag: Curve


def context(view: View, every: Sequence[Row], history: History) -> dict[str, Any]:
    """What the template shows."""
    rows = arranged(chosen(every, text=view.text, failing=view.failing), view.sort, reverse=view.reverse)
    pages = max(1, -(-len(rows) // PAGE_ROWS))
    view = replace(view, page=min(view.page, pages))
    start = (view.page - 1) * PAGE_ROWS
    return {
        "view": view,
        "sums": totals(every),
        "columns": COLUMNS,
        "lines": [_line(row, history) for row in rows[start : start + PAGE_ROWS]],
        "found": len(rows),
        "first": start + 1,
        "pages": pages,
        "minutes": MINUTES,
        "spark": (SPARK_WIDTH, SPARK_HEIGHT),
    }


def _line(row: Row, history: History) -> Line:
    series = history.of((row.namespace, row.name))
    size = {"width": SPARK_WIDTH, "height": SPARK_HEIGHT, "columns": SPARK_COLUMNS}
    return Line(
        row=row,
        backlog=curve(series.backlog, **size, least_top=FEW_ROWS),
        lag=curve(series.lag, **size, least_top=1, limit=row.objective),
    )
