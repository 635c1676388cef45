"""Every change of a namespace's objects of one kind, moment by moment, as anybody sees it who watches them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from .kubectl import Kubectl

MOST_BYTES = 16 * 2**20

Note = Callable[[dict[str, Any], float], None]


@asynccontextmanager
async def watching(kubectl: Kubectl, api: str, plural: str, note: Note) -> AsyncIterator[None]:
    """While the block runs, ``note`` gets each object as it is and as it becomes, and the monotonic second of that.

    ``api``: group and version, as in apiVersion.
    """
    path = f"/apis/{api}/namespaces/{kubectl.namespace}/{plural}?watch=1&timeoutSeconds=3600"
    command = [part for part in kubectl.command("get", "--raw", path) if not part.startswith("--request-timeout")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=MOST_BYTES)
    writer = asyncio.create_task(_write(note, process), name=f"watch of {plural}")
    try:
        yield
        assert not writer.done(), f"the watch of {plural} ended"
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _write(note: Note, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        event = json.loads(line)
        if event["type"] in ("ADDED", "MODIFIED"):
            note(event["object"], time.monotonic())
