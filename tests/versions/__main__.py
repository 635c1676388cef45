"""``make versions``: what depends on PostgreSQL, run with each major version that can be had.

For each a cluster of its own is started (PostgreSQL and Kafka), the files of FILES are run on it, and it is taken down.
The table of docs/supported-versions.md is written with --write-docs. Exits 1 where a version fails.
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
from tests.support.docs_section import write_section

CLUSTER = "versions"
PAGE = Path("docs/supported-versions.md")
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

    @property
    def is_good(self) -> bool:
        """Whether something was run, and nothing failed."""
        return self.passed > 0 and self.failed == 0

    def row(self, day: str) -> str:
        """A row of the table."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        outcome = (
            f"{self.passed} passed{skipped}" if self.is_good else f"**{self.failed} failed**, {self.passed} passed"
        )
        return f"| {postgres_build.release(self.major)} | {outcome} | {day} |"


def main() -> int:
    """Every version, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(postgres_build.RELEASES), metavar="MAJOR")
    parser.add_argument("--write-docs", action="store_true", help="renew the table; needs every version")
    options = parser.parse_args()
    if options.write_docs and options.only:
        parser.error("--write-docs is about every version")
    results = [tried(major) for major in options.only or postgres_build.RELEASES]
    text = table(results, datetime.now(UTC).date().isoformat())
    print(text)
    for result in results:
        for name in result.names:
            print(f"PostgreSQL {result.major}: {name} failed")
    if options.write_docs:
        write_section(PAGE, "PostgreSQL versions", text)
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
        cluster("run", "--", *pytest, check=False)
    finally:
        cluster("down")
    return counted(major, report.read_text())


def cluster(*arguments: str, check: bool = True) -> None:
    """One command of the cluster of these tests."""
    environment = {**os.environ, "OUTBOXRELAY_CLUSTER": CLUSTER}
    subprocess.run([sys.executable, "-m", "tests.cluster", *arguments], check=check, env=environment)


def counted(major: str, report: str) -> Result:
    """The result that a JUnit report tells."""
    cases = ElementTree.fromstring(report).findall(".//testcase")
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    names = tuple(f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name', '')}" for case in failed)
    return Result(major, len(cases) - len(failed) - skipped, len(failed), skipped, names)


def table(results: list[Result], day: str) -> str:
    """The results as a table."""
    return "\n".join(["| PostgreSQL | Tests | Run on |", "|---|---|---|", *(result.row(day) for result in results)])


if __name__ == "__main__":
    sys.exit(main())
