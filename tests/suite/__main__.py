"""make test and make check: runs the parts, says what begins and how far it is, and tells at the end what failed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cluster import limits, netns

from . import lanes, parts
from .run import Suite

if TYPE_CHECKING:
    from .part import Part


def main() -> None:
    """Parse the flags and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.suite", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="lint, types, layers and unit tests only")
    parser.add_argument("--show", action="store_true", help="print what runs on which cluster, and run nothing")
    parser.add_argument("--lanes", type=int, choices=(1, 2, 3, 4), help="clusters side by side")
    options = parser.parse_args()
    count = options.lanes or lanes.how_many(limits.memory_mb(), len(os.sched_getaffinity(0)))
    divided = lanes.divide(lanes.found(), count)
    if options.show:
        print(shown(divided))
        return
    sys.exit(Suite(selected(options.quick, divided)).run())


def selected(quick: bool, divided: list[lanes.Lane]) -> list[Part]:
    """What is to be run."""
    if quick:
        return parts.checks()
    if os.environ.get("OUTBOXRELAY_CONTEXT"):
        return [*parts.checks(), *parts.browser(), *parts.on_a_cluster_of_the_users()]
    become_known_to_sudo()
    print(shown(divided))
    return [*parts.checks(), *parts.browser(), *parts.on_local_clusters(divided, left_as_they_are(divided))]


def left_as_they_are(divided: list[lanes.Lane]) -> set[str]:
    """Clusters that are not ours to remove: who was up before stays up, and KEEP=1 keeps all."""
    names = {parts.cluster_of(lane.number) for lane in divided}
    return names if os.environ.get("KEEP") else {name for name in names if netns.exists(name)}


def shown(divided: list[lanes.Lane]) -> str:
    """The lanes with their files."""
    rows = []
    for lane in divided:
        kind = "Kubernetes and services" if lane.has_kubernetes else "services"
        rows.append(f"cluster {parts.cluster_of(lane.number)} ({kind}), about {lane.seconds:.0f} s:")
        rows += [f"  {file}" for file in lane.files]
    return "\n".join(rows)


def become_known_to_sudo() -> None:
    """Ask for the password now: parts that run side by side cannot."""
    if os.geteuid() != 0 and "CI" not in os.environ and sys.stdin.isatty() and shutil.which("sudo"):
        subprocess.run(["sudo", "-v"], check=False)


if __name__ == "__main__":
    main()
