"""The controller as a process of this machine, against the cluster that kubectl talks to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.support.waiting import until


class ControllerProcess:
    """One running controller."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 where there is none."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""

    async def is_working(self) -> bool:
        """Whether it leads and its watches are up."""
        return await self.get("/readyz") == (200, "leading\n")

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; gives the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()

    def text(self) -> str:
        """The log so far."""
        return self.log.read_text()


@asynccontextmanager
async def controller(
    folder: Path,
    namespace: str,
    *,
    port: int,
    identity: str = "test",
    image: str = "localhost/none:none",
    wait: bool = True,
    flags: Sequence[str] = (),
) -> AsyncIterator[ControllerProcess]:
    """A controller of ``namespace``, which also holds its Lease."""
    command = [sys.executable, "-m", "outboxrelay", "controller", "--relay-image", image, "--namespace", namespace]
    command += ["--lease-namespace", namespace, "--port", str(port), "--identity", identity, *flags]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OUTBOXRELAY_CONTROLLER_")}
    log = folder / f"{identity}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, env=environment)
    running = ControllerProcess(process, log, port)
    try:
        if wait:
            await until(running.is_working, "controller that works", 30, last=running.text)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
