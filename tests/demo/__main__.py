"""make demo: brings the cluster up, builds the image, and plays the story inside. Exit 0 only if nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from tests.cluster import netns
from tests.demo import screen
from tests.demo.story import perform

CLUSTER = [sys.executable, "-m", "tests.cluster"]
NEEDED = ("OUTBOXRELAY_IMAGE", "OUTBOXRELAY_POSTGRES_URI", "OUTBOXRELAY_KAFKA_SERVERS")


def play_inside() -> int:
    """The story itself, where the servers can be reached."""
    try:
        return asyncio.run(perform(keep=bool(os.environ.get("KEEP"))))
    except KeyboardInterrupt:
        return 130


def play_on_context(context: str) -> int:
    """The story on a cluster of the user's own."""
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        screen.bad(
            f"OUTBOXRELAY_CONTEXT={context} is set, so nothing is built: also set {', '.join(missing)} "
            "(an image the cluster can pull, and servers that both its pods and this machine reach)"
        )
        return 2
    return play_inside()


def play_locally() -> int:
    """Bring up the local cluster, play, and leave nothing behind unless KEEP is set or it was up before."""
    was_up = netns.exists()
    try:
        screen.heading("A cluster comes up: Kubernetes, PostgreSQL, Kafka")
        subprocess.run([*CLUSTER, "up"], check=True)
        screen.heading("The operator's image is built and loaded")
        built = subprocess.run(
            [sys.executable, "-m", "tests.cluster.image"], check=True, stdout=subprocess.PIPE, text=True
        )
        image = built.stdout.split()[-1]
        environment = {**os.environ, "OUTBOXRELAY_IMAGE": image}
        inside = [*CLUSTER, "run", "--", sys.executable, "-m", "tests.demo"]
        return subprocess.run(inside, env=environment, check=False).returncode
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        if not was_up and not os.environ.get("KEEP"):
            screen.heading("The cluster goes down")
            subprocess.run([*CLUSTER, "down"], check=True)


def main() -> None:
    """Choose where to play."""
    if os.environ.get("OUTBOXRELAY_INSIDE"):
        sys.exit(play_inside())
    context = os.environ.get("OUTBOXRELAY_CONTEXT")
    sys.exit(play_on_context(context) if context else play_locally())


if __name__ == "__main__":
    main()
