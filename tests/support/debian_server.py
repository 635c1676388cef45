"""A server of a Debian package, started for a test and ended with it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.cluster.packages import find
from tests.support.waiting import until


def program(name: str, package: str) -> str:
    """Its path; raises AssertionError that says what to install."""
    found = find(name)
    assert found is not None, f"{name} is missing: apt-get install {package}"
    return found


@asynccontextmanager
async def running(command: Sequence[str], log: Path, url: str) -> AsyncIterator[None]:
    """While it runs, from when it is ready at ``url``; its log goes to ``log``."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)

    async def is_ready() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(is_ready, f"answer of {Path(command[0]).name}", 30, last=log.read_text)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
