"""Figures of a run in a page, between two marks that are made for them."""

from pathlib import Path


def write_section(page: Path, name: str, text: str) -> None:
    """Replace the section ``name`` of the page; raises SystemExit where its marks are not there."""
    begin, end = f"<!-- {name}: written by a test with WRITE_DOCS=1 -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no section between {begin!r} and {end!r}: put these two lines where it belongs")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
