"""The changelog tells of the version that is to be released."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^## (?:\[?(?P<version>[^\]\s]+)\]?)(?: - (?P<day>\S+))?$", re.MULTILINE)
UNRELEASED = "Unreleased"


def problems(text: str, version: str, *, final: bool) -> list[str]:
    """What is wrong with it. ``final``: the version is released now, else its section may still be Unreleased."""
    headings = list(_HEADING.finditer(text))
    if not headings:
        return ["CHANGELOG.md has no section"]
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    bodies = [
        (heading["version"], heading["day"], text[heading.end() : end])
        for heading, end in zip(headings, ends, strict=True)
    ]
    wrong = []
    names = [name for name, _, _ in bodies]
    if len(set(names)) != len(names):
        wrong.append("CHANGELOG.md has a section twice")
    if names[0] not in (UNRELEASED, version):
        wrong.append(f"CHANGELOG.md begins with {names[0]}; it must begin with {UNRELEASED} or {version}")
    own = [(day, body) for name, day, body in bodies if name == version]
    if final and not own:
        wrong.append(f"CHANGELOG.md has no section {version}: rename {UNRELEASED}, and give it the day")
    for day, body in own:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day or ""):
            wrong.append(f"the section {version} of CHANGELOG.md has no day: ## {version} - 2026-01-31")
        wrong += _without_entries(version, body)
    if not own:
        wrong += [problem for name, _, body in bodies[:1] for problem in _without_entries(name, body)]
    if final and any(name == UNRELEASED and re.search(r"^- ", body, re.MULTILINE) for name, _, body in bodies):
        wrong.append(f"CHANGELOG.md still has entries under {UNRELEASED}")
    return wrong


def _without_entries(name: str, body: str) -> list[str]:
    return [] if re.search(r"^- ", body, re.MULTILINE) else [f"the section {name} of CHANGELOG.md is empty"]
