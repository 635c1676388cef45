"""The real helm and kubectl for tests that wait for nothing else, as users run them."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHART = Path(__file__).parents[2] / "charts/outbox-relay-operator"


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    context = os.environ.get("OUTBOXRELAY_CONTEXT")
    command = ["kubectl", *(["--context", context] if context else []), "--request-timeout=20s", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=90)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it, whatever comes of it."""
    context = os.environ.get("OUTBOXRELAY_CONTEXT")
    command = ["helm", *(["--kube-context", context] if context else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


def sets(values: Mapping[str, Any]) -> list[str]:
    """The arguments that set these values, each given as JSON so that its type is kept."""
    return [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
