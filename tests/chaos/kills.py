"""make chaos-operator: kills of the leading operator while specs change, on the local cluster."""

import argparse
import os
import subprocess
import sys

from tests.cluster import netns

CLUSTER = [sys.executable, "-m", "tests.cluster"]
TEST = "tests/integration/test_operator_kills.py"


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="kills (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="which changes, and when the leader is killed")
    options = parser.parse_args()
    environment = {**os.environ, "KILLS": str(options.runs), "SEED": str(options.seed)}
    was_up = netns.exists()
    try:
        subprocess.run([*CLUSTER, "up"], check=True)
        command = [*CLUSTER, "run", "--", sys.executable, "-m", "pytest", TEST, "-q", "-s", "--tb=short"]
        code = subprocess.run(command, env=environment, check=False).returncode
    finally:
        if not was_up:
            subprocess.run([*CLUSTER, "down"], check=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
