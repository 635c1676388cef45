"""The code blocks of the documentation, for tests that run them.

A block that cannot be run has the reason in a comment on the line before it: ``<!-- not run: why -->``.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

PAGES = (*sorted(Path("docs").rglob("*.md")), Path("README.md"), Path("CONTRIBUTING.md"))
_REASON = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    """Of its opening fence, from 1."""
    language: str
    text: str
    reason: str
    """Why it cannot be run; empty where it can."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of a page, in order."""
    text = page.read_text()
    lines = text.splitlines()
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "fence" and token.map:
            before = next((line for line in reversed(lines[: token.map[0]]) if line.strip()), "")
            reason = _REASON.search(before)
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content, reason[1] if reason else "")


def blocks(*languages: str) -> list[Block]:
    """Blocks in one of these languages, or all, of all pages."""
    return [item for page in PAGES for item in blocks_of(page) if not languages or item.language in languages]


def commands(block: Block) -> list[list[str]]:
    """The commands of a console block as words: each part of a pipe and of a sequence by itself.

    Comments and redirections are left out; lines without a prompt are what a command prints.
    """
    text = re.sub(r"\\\n\s*", " ", block.text)
    lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return [part for line in lines for part in split(line)]


def split(line: str) -> list[list[str]]:
    """The commands of a line; raises ValueError where a quote is not closed."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[list[str]] = [[]]
    redirected = False
    for word in lexer:
        if set(word) <= set("|&;()"):
            found.append([])
        elif set(word) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            found[-1].append(word)
    return [words for words in found if words]
