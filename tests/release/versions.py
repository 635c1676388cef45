"""The version, in every place where it stands: they must agree, and are changed together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_V = rf"({VERSION.pattern})"
PACKAGE = "operator/outboxrelay/__init__.py"
"""Where the version is that counts."""
PLACES: dict[str, tuple[str, ...]] = {
    PACKAGE: (rf'^__version__ = "{_V}"$',),
    "pyproject.toml": (rf'^version = "{_V}"$',),
    "charts/outbox-relay-operator/Chart.yaml": (rf"^version: {_V}$", rf"^appVersion: {_V}$"),
    "Dockerfile": (rf'image\.version="{_V}"',),
}
"""Files, and the lines of each that have it exactly once."""
TEXTS = ("README.md", "docs/**/*.md", "operator/outboxrelay/cli/*.py")
IN_TEXT = (rf"\boutboxrelay:{_V}", rf"image\.tag={_V}")
"""In examples of commands; any number of times."""


class Found(NamedTuple):
    """One place."""

    place: str
    """File and line."""
    version: str


def found(root: Path) -> list[Found]:
    """Every place, the one that counts first; raises ValueError where a place does not have it exactly once."""
    places: list[Found] = []
    for name, patterns in PLACES.items():
        text = (root / name).read_text()
        for pattern in patterns:
            matches = list(re.finditer(pattern, text, re.MULTILINE))
            if len(matches) != 1:
                raise ValueError(f"{name}: {len(matches)} lines are like {pattern}; there must be one")
            places.append(_at(name, text, matches[0]))
    for file in texts(root):
        text = file.read_text()
        for pattern in IN_TEXT:
            places += [_at(file.relative_to(root).as_posix(), text, match) for match in re.finditer(pattern, text)]
    return places


def texts(root: Path) -> Iterator[Path]:
    """The files whose examples name it."""
    for pattern in TEXTS:
        yield from sorted(root.glob(pattern))


def problems(places: list[Found]) -> list[str]:
    """Places that differ from the first."""
    wanted = places[0]
    return [
        f"{place.place} says {place.version}, and {wanted.place} {wanted.version}"
        for place in places
        if place.version != wanted.version
    ]


def change(root: Path, version: str) -> list[str]:
    """Write another version into every place; the files that were changed. Raises ValueError where it is none."""
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: write it as 1.2.3, 1.2.3a1, 1.2.3b1 or 1.2.3rc1")
    changed = []
    patterns = {root / name: lines for name, lines in PLACES.items()} | dict.fromkeys(texts(root), IN_TEXT)
    patterns[root / PACKAGE] = PLACES[PACKAGE]
    for file, lines in patterns.items():
        text = new = file.read_text()
        for line in lines:
            new = re.sub(line, lambda match: match[0].replace(match[1], version), new, flags=re.MULTILINE)
        if new != text:
            file.write_text(new)
            changed.append(file.relative_to(root).as_posix())
    return changed


def _at(name: str, text: str, match: re.Match[str]) -> Found:
    return Found(f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match[1])
