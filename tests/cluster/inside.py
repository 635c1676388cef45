"""Running a command of ours inside the local cluster, which is brought up for it where it is not up."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.cluster import netns

CLUSTER = (sys.executable, "-m", "tests.cluster")


def run_inside(
    command: Sequence[str], *, kubernetes: bool = False, environment: Mapping[str, str] | None = None
) -> int:
    """The exit code of ``python command``; leaves nothing behind that was not there before.

    ``kubernetes``: PostgreSQL and Kafka alone are not enough. Raises CalledProcessError where the cluster does not come
    up or go down.
    """
    was_up = netns.exists()
    try:
        subprocess.run([*CLUSTER, "up", *([] if kubernetes else ["--services-only"])], check=True)
        ended = subprocess.run([*CLUSTER, "run", "--", sys.executable, *command], env=environment, check=False)
    finally:
        if not was_up:
            subprocess.run([*CLUSTER, "down"], check=True)
    return ended.returncode
