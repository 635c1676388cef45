"""Templates to text. Whatever stands in a page is text: it is escaped, and holds nothing that a browser would obey."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from outboxrelay.api.incidents import IncidentStatus
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.fleet import Row, count_display, printable
from outboxrelay.decisions.incidents.kinds import kind_of

PACKAGE = "outboxrelay.controller.console"
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
LONGEST = 1000
"""Characters of a text that are shown."""
MARKS = ("failing", "unknown", "late", "well", "off")
"""By the rank of a row."""
NAMES = {
    "failing": "Failing",
    "unknown": "Unknown",
    "late": "Delivers, and needs a look",
    "well": "Well",
    "off": "Off",
    "note": "For information",
}


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page."""
    return _environment().get_template(template).render(context)


def static(name: str) -> str:
    """A file that is sent as it is."""
    return files(PACKAGE).joinpath("static", name).read_text()


def mark_of(row: Row | None) -> str:
    """The sign of a relay: how urgently it needs a look."""
    return MARKS[row.rank] if row else MARKS[0]


def shown(value: object) -> object:
    """``value`` as it may stand in a page, before it is escaped: bounded, in one line, without control characters."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = printable(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def broken(text: str) -> Markup:
    """``text``, which may be broken before each capital letter: NotEnoughInSyncReplicas is long for a phone."""
    return Markup("<wbr>").join(HUMP.split(str(shown(text))))


def clock_time(moment: datetime) -> str:
    """21:53:04 UTC."""
    return moment.strftime("%H:%M:%S UTC")


def stamp_display(text: str) -> str:
    """2026-11-28 21:53:04 of an RFC 3339 time."""
    return text.replace("T", " ").removesuffix("Z")


def page_of(incident: IncidentStatus) -> str | None:
    """The address of the incident's page, where it is one that a browser may be sent to."""
    return incident.runbook if incident.runbook.startswith(("https://", "http://")) else None


def title_of(kind: str) -> str:
    """A few words for a type of incident."""
    known = kind_of(kind)
    return known.title if known else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "lag": lag_display,
        "count": count_display,
        "rows": lambda row: count_display(row.backlog, exact=row.backlog_exact),
        "mark": mark_of,
        "stamp": stamp_display,
        "broken": broken,
    }
    environment.globals |= {"page_of": page_of, "title_of": title_of, "mark_names": NAMES}
    return environment
