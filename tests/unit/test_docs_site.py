"""The site of docs/: what is wrong with a link ends its build, and nothing of it comes from another host."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

DOCS = Path("docs")
PAGE = "# Page\n\n## A heading\n\n[here](other.md#a-heading), [below](#a-heading), [a file](data.yaml)\n"
DEAD = {
    "a page that is not there": ("[x](nope.md)", "'nope.md'"),
    "a heading of another page that is not there": ("[x](other.md#nope)", "'nope'"),
    "a heading of its own page that is not there": ("[x](#nope)", "'nope'"),
    "a file that is not there": ("[x](../nope.yaml)", "'../nope.yaml'"),
}


def build(folder: Path, page: str) -> tuple[int, str]:
    """Exit code and messages of a site of two pages, with the settings and the flags of the real one."""
    source = folder / "docs"
    shutil.copytree(DOCS / "_static", source / "_static")
    shutil.copy(DOCS / "conf.py", source)
    (source / "data.yaml").write_text("a: 1\n")
    (source / "index.md").write_text(f"{page}\n```{{toctree}}\nother\n```\n")
    (source / "other.md").write_text(PAGE.replace("other.md", "index.md"))
    [command] = re.findall(r"sphinx-build (.*) -d \S+ docs ", Path("Makefile").read_text())
    run = [sys.executable, "-m", "sphinx", *command.split(), str(source), str(folder / "html")]
    ended = subprocess.run(run, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_links_that_lead_somewhere_make_a_site_that_needs_no_other_host(tmp_path: Path) -> None:
    assert build(tmp_path, PAGE) == (0, "")
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"((?:https?:)?//[^\"]*)\"")
    pages = list((tmp_path / "html").rglob("*.html"))
    assert pages
    assert [found for page in pages for found in loaded.findall(page.read_text())] == []
    styles = (tmp_path / "html").rglob("*.css")
    assert [style.name for style in styles if re.search(r"url\([\"']?(?:https?:)?//", style.read_text())] == []


@pytest.mark.parametrize("case", DEAD)
def test_a_dead_link_ends_the_build(tmp_path: Path, case: str) -> None:
    link, words = DEAD[case]
    code, messages = build(tmp_path, f"{PAGE}\n{link}\n")
    assert code != 0
    assert words in messages


def links(page: Path) -> list[str]:
    """Where a page leads to."""
    found = []
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        for item in token.children or ():
            found += [str(value) for name, value in item.attrs.items() if name in ("href", "src")]
    return found


def anchors(page: Path) -> set[str]:
    """Of its headings, as a repository's browser and the site make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_pages_beside_the_site_have_no_dead_links_either(name: str) -> None:
    dead = []
    for link in links(Path(name)):
        path, _, anchor = link.partition("#")
        target = Path(path) if path else Path(name)
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            dead.append(link)
    assert dead == []
