"""make chaos-operator: kills of the leading operator while specs change, on the local cluster."""

import argparse
import os
import sys

from tests.cluster.inside import run_inside

TEST = "tests/integration/test_operator_kills.py"


def main() -> None:
    """Bring up what is needed, run inside, and leave nothing behind that was not there before."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="kills (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="which changes, and when the leader is killed")
    options = parser.parse_args()
    environment = {**os.environ, "KILLS": str(options.runs), "SEED": str(options.seed)}
    sys.exit(run_inside(["-m", "pytest", TEST, "-q", "-s", "--tb=short"], kubernetes=True, environment=environment))


if __name__ == "__main__":
    main()
