"""Every type of incident has a page that says what it means, how to look and how to end it; no page is left over."""

import re
from pathlib import Path

import pytest

from outboxrelay.api.incidents import RUNBOOKS, IncidentType
from outboxrelay.controller.metrics import Metrics
from outboxrelay.decisions.incidents.kinds import KINDS, Kind
from outboxrelay.decisions.incidents.status import runbook_of

ROOT = Path(__file__).parents[2]
PAGES = ROOT / RUNBOOKS
INDEX = (PAGES / "README.md").read_text()
SECTIONS = ["What it means", "How to look", "How to end it"]


def test_types_kinds_and_pages_are_the_same() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {str(kind) for kind in IncidentType} == {str(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(kind.type))
def test_a_page_has_its_three_parts_and_says_how_bad_it_is(kind: Kind) -> None:
    text = (ROOT / runbook_of(RUNBOOKS, kind.type)).read_text()
    assert text.startswith(f"# {kind.type}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert f"Severity: {kind.severity}. Known within: " in text
    assert text.splitlines()[2].lower().startswith(kind.title.lower())
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(len(part.split()) >= 10 for part in parts)


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("https://git.example/docs/incidents", "https://git.example/docs/incidents/NoProgress.md"),
        ("https://git.example/docs/incidents/", "https://git.example/docs/incidents/NoProgress.md"),
        ("https://docs.example/incidents/{page}.html", "https://docs.example/incidents/NoProgress.html"),
        ("https://docs.example/?of={page}#{page}", "https://docs.example/?of=NoProgress#NoProgress"),
    ],
)
def test_a_link_ends_as_the_address_of_the_pages_asks_for(base: str, link: str) -> None:
    assert runbook_of(base, "NoProgress") == link


def test_the_metrics_of_incidents_are_those_that_the_index_tells() -> None:
    told = set(re.findall(r"^\| `(outboxrelay_\w+)` \|", INDEX, re.MULTILINE))
    metrics = Metrics()
    metrics.incidents.follow(lambda: (), lambda: {"webhook": 0})
    exported = {
        line.split()[2]
        for line in metrics.text().decode().splitlines()
        if line.startswith("# TYPE") and ("incident" in line or "notification" in line) and "_created" not in line
    }
    assert told == exported
