"""What the suite consists of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import paths

from .part import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .lanes import Lane

VENV = ".venv/bin/"
CLUSTER = (sys.executable, "-m", "tests.cluster")
UPGRADE = "test_upgrade.py"
"""Begins with the release before this one, whose image it needs."""
QUICK = ("lint", "format", "types", "layers")


def checks() -> list[Part]:
    """What needs no servers; one after the other, as each takes seconds and tells why the next would fail. The site is
    built beside the unit tests."""
    return [
        Part("lint", (f"{VENV}ruff", "check", "."), "ruff"),
        Part("format", (f"{VENV}ruff", "format", "--check", "--quiet", "."), "ruff format", after=QUICK[:1]),
        Part("types", (f"{VENV}mypy",), "mypy --strict", after=QUICK[:2]),
        Part("layers", (f"{VENV}lint-imports", "--no-logo"), "import-linter", after=QUICK[:3]),
        Part("unit", (f"{VENV}pytest", "tests/unit", "-q"), "pure decisions, and loops on fakes", after=QUICK),
        Part("docs", ("make", "--no-print-directory", "docs"), "the site, without a dead link", after=QUICK),
    ]


def browser() -> list[Part]:
    """The console's pages; they need no servers, and Chromium, which is installed where it is missing."""
    get = Part("chromium", (*CLUSTER, "browser"), "installs it where it is missing: 100 MB", after=QUICK)
    show = Part("browser", _pytest(["tests/browser"]), "the console in a real Chromium", after=(get.name,))
    return [get, show]


def on_a_cluster_of_the_users() -> list[Part]:
    """The end-to-end tests; the contract suites stop and start their own servers, which is not for it."""
    return [Part("e2e", _pytest(["tests/e2e"]), "the operator, by its chart, on your cluster", after=QUICK)]


def on_local_clusters(lanes: Sequence[Lane], left: Collection[str], base: str = paths.CLUSTER) -> list[Part]:
    """The lanes: each cluster is started, used and removed again unless its name is among ``left``.

    The first builds what all need, so the others are started after it.
    """
    parts: list[Part] = []
    for lane in lanes:
        parts += _lane(lane, cluster_of(lane.number, base), left)
    return parts


def cluster_of(number: int, base: str = paths.CLUSTER) -> str:
    """The name of a lane's cluster: the first is the one that everybody means who names none."""
    return base if number == 1 else f"{base}-{number}"


def _lane(lane: Lane, cluster: str, left: Collection[str]) -> list[Part]:
    up, image, tests = f"up {lane.number}", f"image {lane.number}", f"tests {lane.number}"
    services = () if lane.has_kubernetes else ("--services-only",)
    what = "Kubernetes, PostgreSQL, Kafka" if lane.has_kubernetes else "PostgreSQL, Kafka"
    first = lane.number == 1
    about = f"{what}: up to 12 minutes the first time" if first else what
    parts = [Part(up, (*CLUSTER, "up", *services), about, after=QUICK if first else ("up 1",), cluster=cluster)]
    if lane.has_kubernetes:
        command = (sys.executable, "-m", "tests.cluster.image")
        parts.append(Part(image, command, "builds the image and loads it", after=(up,), cluster=cluster))
        if any(Path(file).name == UPGRADE for file in lane.files):
            parts.append(
                Part(
                    f"previous image {lane.number}",
                    (*command, "--previous"),
                    "the release before this one, to upgrade from",
                    after=(image,),
                    cluster=cluster,
                )
            )
    begun = tuple(part.name for part in parts)
    run = _pytest(lane.files, prefix=(*CLUSTER, "run", "--"))
    parts.append(Part(tests, run, f"{len(lane.files)} files on the real servers", after=begun, cluster=cluster))
    if cluster not in left:
        after = (*begun, tests)
        parts.append(
            Part(
                f"down {lane.number}",
                (*CLUSTER, "down"),
                "leaves nothing behind",
                after=after,
                cluster=cluster,
                tidies_up=True,
            )
        )
    return parts


def _pytest(files: Sequence[str], prefix: tuple[str, ...] = ()) -> tuple[str, ...]:
    return (*prefix, f"{VENV}pytest", *files, "-v", "--durations=10", "--tb=short")
