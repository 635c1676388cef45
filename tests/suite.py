"""make test and make check: runs each part, says what it starts, and prints at the end how long each took."""

import argparse
import os
import subprocess
import sys
import time
from typing import NamedTuple

from tests.cluster import netns

VENV = ".venv/bin/"
CLUSTER = [sys.executable, "-m", "tests.cluster"]


class Part(NamedTuple):
    """One step: its name, its command, and what is being waited for."""

    name: str
    command: list[str]
    about: str
    always: bool = False
    """Run even after another part failed."""


QUICK = [
    Part("lint", [VENV + "ruff", "check", "."], "ruff"),
    Part("format", [VENV + "ruff", "format", "--check", "--quiet", "."], "ruff format"),
    Part("types", [VENV + "mypy"], "mypy --strict"),
    Part("layers", [VENV + "lint-imports", "--no-logo"], "import-linter"),
    Part("unit", [VENV + "pytest", "tests/unit", "-q"], "pure decisions, and loops on fakes"),
]


def pytest_in(prefix: list[str], folder: str) -> list[str]:
    """The command that runs the tests of ``folder`` behind ``prefix``."""
    return [*prefix, VENV + "pytest", folder, "-v", "--durations=10", "--tb=short"]


def parts(quick: bool) -> list[Part]:
    """What is to be run, in order."""
    if quick:
        return QUICK
    if os.environ.get("OUTBOXRELAY_CONTEXT"):
        # The contract suites stop and start their own servers; a cluster of the user's gets the end-to-end tests.
        return [*QUICK, Part("e2e", pytest_in([], "tests/e2e"), "the operator, by its chart, on your cluster")]
    prefix = [*CLUSTER, "run", "--"]
    tests = [
        Part("integration", pytest_in(prefix, "tests/integration"), "contract suites on the real servers"),
        Part("e2e", pytest_in(prefix, "tests/e2e"), "the operator, by its chart, on the cluster"),
    ]
    before = [
        Part("cluster up", [*CLUSTER, "up"], "Kubernetes, PostgreSQL, Kafka: up to 12 minutes the first time"),
        Part("image", [sys.executable, "-m", "tests.cluster.image"], "builds the image and loads it"),
    ]
    after = [] if _runs_already() or os.environ.get("KEEP") else [_down()]
    return [*QUICK, *before, *tests, *after]


def _down() -> Part:
    return Part("cluster down", [*CLUSTER, "down"], "leaves nothing behind", always=True)


def _runs_already() -> bool:
    """Whether somebody has the cluster up: then it is left as it was found."""
    return netns.exists()


def run(selected: list[Part]) -> int:
    """Run the parts; after the first failure only those that must run always."""
    results: list[tuple[str, str, float]] = []
    failed = 0
    for part in selected:
        if failed and not part.always:
            results.append((part.name, "not run", 0.0))
            continue
        print(f"\n=== {part.name}: {part.about}", flush=True)
        started = time.monotonic()
        code = subprocess.run(part.command, check=False).returncode
        results.append((part.name, "ok" if code == 0 else f"FAILED ({code})", time.monotonic() - started))
        failed = failed or code
    print("\n" + "-" * 44)
    for name, outcome, seconds in results:
        print(f"{name:<16}{outcome:<16}{seconds:>8.1f} s")
    print(f"{'total':<16}{'FAILED' if failed else 'ok':<16}{sum(row[2] for row in results):>8.1f} s")
    return 1 if failed else 0


def main() -> None:
    """Parse the flags and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="lint, types, layers and unit tests only")
    sys.exit(run(parts(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
