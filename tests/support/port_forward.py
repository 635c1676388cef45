"""kubectl port-forward, as people run it beside a browser."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .kubectl import Kubectl

START_SECONDS = 30.0
LISTENS = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) -> \d+")


@asynccontextmanager
async def forwarded(kubectl: Kubectl, target: str, port: int) -> AsyncIterator[str]:
    """The address on this machine that leads to ``port`` of ``target``; any port that is free here."""
    process = await asyncio.create_subprocess_exec(
        *kubectl.command("port-forward", target, f":{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
            found = LISTENS.match(line)
            assert found, f"port-forward {target}: {line.decode()}{(await process.stderr.read()).decode()}"
        yield f"http://localhost:{int(found[1])}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()
