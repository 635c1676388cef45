"""Which pages are generated, whole or in sections between two marks."""

from collections.abc import Iterable
from pathlib import Path

from outboxrelay.api.incidents import RUNBOOKS
from tests.reference import commands, conditions, examples, fields, incidents

DOCS = Path("docs")


def pages() -> dict[Path, str]:
    """Path → the text that it must have."""
    return {
        DOCS / "reference/fields.md": fields.page(),
        DOCS / "reference/conditions.md": conditions.page(),
        DOCS / "reference/examples.md": examples.page(),
        DOCS / "cli.md": with_sections(DOCS / "cli.md", commands.sections()),
        Path(RUNBOOKS) / "README.md": with_sections(Path(RUNBOOKS) / "README.md", [incidents.section()]),
    }


def with_sections(page: Path, sections: Iterable[tuple[str, str]]) -> str:
    """The page with its generated sections renewed; raises SystemExit where the marks of one are missing."""
    text = page.read_text()
    for name, body in sections:
        begin, end = f"<!-- generated: {name} -->", "<!-- end of what is generated -->"
        before, found, rest = text.partition(f"{begin}\n")
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(
                f"{page} has no section between {begin!r} and {end!r}: put these two lines where it belongs"
            )
        text = f"{before}{begin}\n{body}\n{end}{after}"
    return text
