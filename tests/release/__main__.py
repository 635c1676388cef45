"""``make release-check``: whether what lies here can be released. What could not be looked at is told as such.

Writes wheel, source archive, chart and bill of materials to dist/. Exits 1 where something is wrong, and with --strict
also where something was not checked. ``--version 1.2.3`` writes another version into every place instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.release import audit, builds, changelog, licences, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OK, FAILED, NOT_CHECKED = "ok", "FAILED", "not checked"


@dataclass(frozen=True)
class Check:
    """One rule and how it came out."""

    name: str
    state: str
    detail: str = ""


def judged(name: str, problems: Iterable[str], good: str) -> Check:
    """A check that is good where there is no problem."""
    found = list(problems)
    return Check(name, FAILED, "\n".join(found)) if found else Check(name, OK, good)


def version_check(root: Path) -> Check:
    try:
        places = versions.found(root)
    except ValueError as error:
        return Check("version", FAILED, str(error))
    return judged("version", versions.problems(places), f"{places[0].version} in {len(places)} places")


def changelog_check(root: Path, version: str, *, final: bool) -> Check:
    text = (root / "CHANGELOG.md").read_text()
    return judged("changelog", changelog.problems(text, version, final=final), f"tells of {version}")


def packages_check(root: Path, dist: Path) -> Check:
    found = builds.packages(root, dist)
    good = ", ".join(f"{name} sha256 {one[:12]}" for name, (one, _) in found.items())
    return judged("same bytes when built again", differing(found), good)


def differing(found: dict[str, tuple[str, str]]) -> list[str]:
    """The packages that were other bytes when they were built again; no package at all is wrong, too."""
    kinds = {name.rpartition(".")[2] for name in found}
    missing = [f"no .{kind} was built" for kind in ("whl", "gz") if kind not in kinds]
    return missing + [f"{name}: {one[:12]} and {two[:12]}" for name, (one, two) in found.items() if one != two]


def supply_checks(root: Path, dist: Path, version: str) -> list[Check]:
    """The bill of materials, the licences in it, and what is known against the packages."""
    target = dist / f"outboxrelay-{version}.cdx.json"
    with tempfile.TemporaryDirectory(prefix="outboxrelay-release-") as folder:
        tools = builds.tools(root, Path(folder, "tools"))
        document = builds.bill_of_materials(root, tools, Path(folder, "runtime"), target)
        components = document["components"]
        told = f"{target.name}, CycloneDX {document['specVersion']}, {len(components)} packages"
        return [
            judged("bill of materials", materials_problems(document, version), told),
            judged("licences", licences.problems(components), f"of {len(components)} packages are allowed"),
            vulnerabilities_check(builds.audited(root, tools)),
        ]


def materials_problems(document: dict[str, object], version: str) -> list[str]:
    """What is wrong with a bill of materials."""
    metadata, components = document.get("metadata"), document.get("components")
    root = metadata.get("component", {}) if isinstance(metadata, dict) else {}
    wrong = []
    if (root.get("name"), root.get("version")) != ("outboxrelay", version):
        wrong.append(f"it is about {root.get('name')} {root.get('version')}, not outboxrelay {version}")
    listed = components if isinstance(components, list) else []
    if not listed:
        wrong.append("it names no package")
    wrong += [f"{item.get('name')} has no purl" for item in listed if not item.get("purl")]
    return wrong


def vulnerabilities_check(report: str) -> Check:
    """What pip-audit found, or that it had nothing to look into."""
    name, found = "known vulnerabilities", audit.read(report)
    if found.vulnerable:
        return Check(name, FAILED, "\n".join(found.vulnerable))
    if found.unchecked:
        missing = f"no data about {len(found.unchecked)} of {found.packages} packages"
        return Check(name, NOT_CHECKED, f"{missing}: the advisory service cannot be reached from here")
    return Check(name, OK, f"none in {found.packages} packages")


def guarded(name: str, act: Callable[[], list[Check]]) -> list[Check]:
    """What could not be built has failed, and the other checks go on."""
    try:
        return act()
    except builds.BuildFailed as error:
        return [Check(name, FAILED, str(error))]


def shown(checks: list[Check]) -> str:
    """A line for each, with what is wrong below it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        first, *rest = check.detail.splitlines() or [""]
        lines.append(f"{check.name:<{width}}  {check.state:<11}  {first}".rstrip())
        lines += [f"{'':<{width}}  {'':<11}  {line}" for line in rest]
    return "\n".join(lines)


def exit_code(checks: list[Check], *, strict: bool) -> int:
    """0 where it can be released."""
    bad = {FAILED, NOT_CHECKED} if strict else {FAILED}
    return 1 if any(check.state in bad for check in checks) else 0


def main() -> int:
    """All checks, in the order of what costs least."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--version", metavar="NEW", help="write another version into every place, and check nothing")
    parser.add_argument("--final", action="store_true", help="the changelog must be finished, too")
    parser.add_argument("--strict", action="store_true", help="what was not checked counts as wrong")
    options = parser.parse_args()
    root = Path()
    if options.version:
        try:
            print("\n".join(versions.change(root, options.version)))
        except ValueError as error:
            parser.error(str(error))
        return 0
    dist = root / "dist"
    dist.mkdir(exist_ok=True)
    checks = [version_check(root)]
    version = versions.found(root)[0].version if checks[0].state == OK else ""
    checks.append(changelog_check(root, version, final=options.final))
    checks += guarded("packages", lambda: [packages_check(root, dist)])
    checks += guarded("chart", lambda: [Check("chart", OK, builds.chart(root, dist).name)])
    checks += guarded("bill of materials", lambda: supply_checks(root, dist, version))
    print(shown(checks))
    return exit_code(checks, strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
