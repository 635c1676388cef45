"""Figures of a run in a page, between two marks that are made for them."""

from pathlib import Path


def section(page: Path, name: str) -> str:
    """What the page's section ``name`` holds; raises SystemExit where its marks are not there."""
    return _parts(page, name)[1]


def write_section(page: Path, name: str, text: str) -> None:
    """Replace the section ``name`` of the page; raises SystemExit where its marks are not there."""
    before, _, after = _parts(page, name)
    page.write_text(f"{before}{text}\n{after}")


def _parts(page: Path, name: str) -> tuple[str, str, str]:
    """The page up to the section, its text, and the rest."""
    begin, end = f"<!-- {name}: written by a test with WRITE_DOCS=1 -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(f"{begin}\n")
    text, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no section between {begin!r} and {end!r}: put these two lines where it belongs")
    return before + found, text, closed + after
