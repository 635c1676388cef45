"""Asking every pod behind a name whether it is ready."""

import asyncio
import socket
from collections.abc import Mapping

import aiohttp

MAX_BYTES = 1024


async def readiness(host: str, port: int, seconds: float) -> Mapping[str, str]:
    """What each address of ``host`` says at /readyz, in a few words; empty where the name has no address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return {}
    addresses = sorted({str(item[4][0]) for item in found})
    # The way to a pod never leads through a proxy.
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as session:
        answers = await asyncio.gather(*(_ask(session, address, port) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def _ask(session: aiohttp.ClientSession, address: str, port: int) -> str:
    where = f"[{address}]" if ":" in address else address
    try:
        async with session.get(f"http://{where}:{port}/readyz") as response:
            text = " ".join((await response.content.read(MAX_BYTES)).decode(errors="replace").split())
            return text if response.status == 200 else f"not ready: {text}"
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError) as error:
        return f"no answer: {type(error).__name__}"
