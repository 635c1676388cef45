"""Resident memory of the controller, with one relay to look after."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import definition
from tests.support.kubectl import Kubectl
from tests.support.relay_process import memory_mb

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE = "outboxrelay-bench"
SECONDS = 20


async def measure(folder: Path) -> dict[str, float]:
    """MB after ``SECONDS`` seconds of a controller that runs against the local cluster as a process."""
    with definition.installed(Kubectl("default")):
        _kubectl("create", "namespace", NAMESPACE)
        try:
            return {"controller_rss_mb": round(await _run(folder), 1)}
        finally:
            _kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=60s")


async def _run(folder: Path) -> float:
    command = [sys.executable, "-m", "outboxrelay", "controller", "--namespace", NAMESPACE]
    command += ["--relay-image", "localhost/none:none", "--lease-namespace", NAMESPACE, "--port", "18080"]
    with (folder / "controller.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "POD_NAME": "bench"})
        try:
            _kubectl("apply", "-n", NAMESPACE, "-f", "examples/orders.yaml")
            await asyncio.sleep(SECONDS)
            return memory_mb(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _kubectl(*arguments: str) -> None:
    subprocess.run(["kubectl", *arguments], check=True, capture_output=True, timeout=90)
