"""The operator once for all tests, a stand of its own for each, and what to look at when one fails."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from tests.support.release import NAMESPACE as OPERATOR_NAMESPACE
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.stand import Stand

DUMPS = Path(".bench/e2e")
STAND = pytest.StashKey[Stand]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need the cluster."""
    for item in items:
        if "tests/e2e" in item.nodeid:
            item.add_marker(pytest.mark.needs_cluster)


@pytest.fixture(scope="session")
def rig() -> Rig:
    """Addresses."""
    return Rig.from_environment()


@pytest.fixture(scope="session")
def image(rig: Rig) -> str:
    """The operator's image: given, or built from this checkout and loaded."""
    if rig.image:
        return rig.image
    assert rig.is_local, "set OUTBOXRELAY_IMAGE to an image that the cluster of OUTBOXRELAY_CONTEXT can pull"
    return loaded_image()


def loaded_image(*options: str) -> str:
    """Builds an image where it is not built, loads it into the node, and returns its reference."""
    command = ["-m", "tests.cluster.image", *options]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{done.stderr}\nBuild it outside first: python3 {' '.join(command)}"
    return done.stdout.split()[-1]


@pytest.fixture(scope="session")
def operator(rig: Rig, image: str) -> Iterator[Operator]:
    """The operator by its chart; KEEP=1 leaves it."""
    release = Operator(rig)
    release.install(image)
    yield release
    if not os.environ.get("KEEP"):
        release.uninstall()


@pytest.fixture
async def stand(rig: Rig, operator: Operator, request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    """A namespace and a database of the test's own."""
    async with Stand(rig) as made:
        request.node.stash[STAND] = made
        yield made


@pytest.fixture
def local(rig: Rig) -> Rig:
    """For tests that stop servers or reach the processes of pods."""
    if not rig.is_local:
        pytest.skip(
            "stops servers or signals processes of pods: only on the local cluster, not with OUTBOXRELAY_CONTEXT"
        )
    return rig


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed leaves what its namespace and the operator looked like."""
    report = yield
    made = item.stash.get(STAND, None)
    if report.when == "call" and report.failed and made is not None:
        report.sections.append(("cluster", dump(made.rig, made.name, item.name)))
    return report


def dump(rig: Rig, namespace: str, test: str) -> str:
    """Write everything to a file; what fits on a screen is the result."""
    short = [
        (namespace, "get", "outboxrelays,deployments,pods", "-o", "wide"),
        (namespace, "get", "events", "--sort-by=.lastTimestamp"),
    ]
    long = [
        (namespace, "get", "outboxrelays,deployments,pods,configmaps", "-o", "yaml"),
        (namespace, "describe", "pods"),
        (namespace, "logs", "-l", "app.kubernetes.io/name=outbox-relay", "--tail=-1", "--prefix"),
        (OPERATOR_NAMESPACE, "get", "pods,leases", "-o", "yaml"),
        (OPERATOR_NAMESPACE, "logs", "-l", "app.kubernetes.io/instance", "--tail=3000", "--prefix"),
    ]
    DUMPS.mkdir(parents=True, exist_ok=True)
    file = DUMPS / (re.sub(r"[^a-z0-9]+", "-", test.lower())[:100] + ".txt")
    screen = "\n".join(shown(rig, *command) for command in short)
    file.write_text(screen + "\n" + "\n".join(shown(rig, *command) for command in long))
    return f"{screen}\nmore in {file}"


def shown(rig: Rig, namespace: str, *arguments: str) -> str:
    """A kubectl command and what it printed."""
    context = ["--context", rig.context] if rig.context else []
    command = ["kubectl", *context, "-n", namespace, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"
