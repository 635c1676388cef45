"""``make versions``: what depends on PostgreSQL, run with each major version that can be had.

For each a cluster of its own is started (PostgreSQL and Kafka), the files of FILES are run on it, and it is taken down.
--write-docs renews the rows of these versions in docs/supported-versions.md. Exits 1 where a version fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster import postgres_build
from tests.support.docs_section import section, write_section

CLUSTER = "versions"
PAGE = Path("docs/supported-versions.md")
SECTION = "PostgreSQL versions"
HEAD = "| PostgreSQL | Tests | Run on |\n|---|---|---|"
RESULTS = Path(".bench/versions")
FILES = (
    "test_archive_and_retention.py",
    "test_doorbell_contract.py",
    "test_inbox_functions.py",
    "test_membership_contract.py",
    "test_outbox_publish.py",
    "test_read_plan.py",
    "test_relay_role_is_refused.py",
    "test_relay_under_faults.py",
    "test_schema_and_privileges.py",
    "test_session_handover.py",
    "test_source_contract.py",
)
"""Of tests/integration: what is said to the server, what it answers, and a relay whose server is killed."""


@dataclass(frozen=True)
class Result:
    """How the tests ended with one version."""

    major: str
    passed: int
    failed: int
    skipped: int
    names: tuple[str, ...] = ()
    """Of the tests that failed."""
    whole: bool = True
    """Whether the run came to its end: every test was collected and run."""

    @property
    def is_good(self) -> bool:
        """Whether all was run, it was something, and nothing failed."""
        return self.whole and self.passed > 0 and self.failed == 0

    def row(self, day: str) -> str:
        """A row of the table."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        failed = f"**{self.failed} failed**, " if self.failed else ""
        broken = "" if self.whole else "**not run as a whole**: "
        return f"{_begin(self.major)} {broken}{failed}{self.passed} passed{skipped} | {day} |"


def main() -> int:
    """Every version, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(postgres_build.RELEASES), metavar="MAJOR")
    parser.add_argument("--write-docs", action="store_true", help="renew the rows of these versions in the table")
    options = parser.parse_args()
    results = [tried(major) for major in options.only or postgres_build.RELEASES]
    day = datetime.now(UTC).date().isoformat()
    print("\n".join([HEAD, *(result.row(day) for result in results)]))
    for result in results:
        for name in result.names:
            print(f"PostgreSQL {result.major}: {name} failed")
    if options.write_docs:
        write_section(PAGE, SECTION, renewed(section(PAGE, SECTION), results, day))
    return 0 if all(result.is_good for result in results) else 1


def tried(major: str) -> Result:
    """The tests with one version; its cluster is gone afterwards."""
    report = RESULTS.absolute() / f"{major}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    files = [f"tests/integration/{name}" for name in FILES]
    try:
        cluster("up", "--services-only", "--postgres", major)
        pytest = [".venv/bin/pytest", *files, "-q", "--tb=short", f"--junitxml={report}"]
        code = cluster("run", "--", *pytest, check=False)
    finally:
        cluster("down")
    return counted(major, report.read_text() if report.exists() else "<testsuites/>", code)


def cluster(*arguments: str, check: bool = True) -> int:
    """The exit code of one command of the cluster of these tests."""
    environment = {**os.environ, "OUTBOXRELAY_CLUSTER": CLUSTER}
    return subprocess.run([sys.executable, "-m", "tests.cluster", *arguments], check=check, env=environment).returncode


def counted(major: str, report: str, code: int) -> Result:
    """The result that a JUnit report tells, and the exit code of pytest: 0 or 1, unless it broke off."""
    cases = ElementTree.fromstring(report).findall(".//testcase")
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    names = tuple(f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '')}" for case in failed)
    return Result(major, len(cases) - len(failed) - skipped, len(failed), skipped, names, whole=code in (0, 1))


def renewed(table: str, results: list[Result], day: str) -> str:
    """The table with the rows of these results; those of other versions stay as they are."""
    found = {result.major: result.row(day) for result in results}
    return "\n".join([HEAD, *(found.get(major) or _row(table, major) for major in postgres_build.RELEASES)])


def _row(table: str, major: str) -> str:
    rows = [line for line in table.splitlines() if line.startswith(_begin(major))]
    return rows[0] if rows else f"{_begin(major)} not run yet | |"


def _begin(major: str) -> str:
    return f"| {postgres_build.release(major)} |"


if __name__ == "__main__":
    sys.exit(main())
