"""The link that slow rows are made with: it delays each way, and all its connections share what it carries."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.slow_link import SlowLink, slow_link

HOST = "127.0.0.1"


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """The URI of a server that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield f"postgresql://user:secret@{HOST}:{server.sockets[0].getsockname()[1]}/shop?sslmode=disable"


async def seconds(link: SlowLink, size: int) -> float:
    """What it takes until ``size`` bytes are back."""
    reader, writer = await asyncio.open_connection(HOST, link.port)
    began = time.monotonic()
    writer.write(b"x" * size)
    assert await reader.readexactly(size) == b"x" * size
    taken = time.monotonic() - began
    writer.close()
    await writer.wait_closed()
    return taken


async def test_each_way_takes_its_time() -> None:
    async with echo() as uri, slow_link(uri, HOST, delay=0.05) as link:
        assert await seconds(link, 10) >= 0.1


async def test_connections_share_what_a_link_carries() -> None:
    async with echo() as uri, slow_link(uri, HOST, bytes_per_second=200_000) as link:
        began = time.monotonic()
        await asyncio.gather(*(seconds(link, 5_000) for _ in range(3)))
        assert time.monotonic() - began >= 2 * 3 * 5_000 / 200_000


async def test_who_ends_its_connection_ends_it_at_the_server_too_and_a_link_that_goes_ends_them_all() -> None:
    async with echo() as uri:
        async with slow_link(uri, HOST) as link:
            reader, writer = await asyncio.open_connection(HOST, link.port)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_uri_through_it_keeps_all_but_the_place() -> None:
    async with echo() as uri, slow_link(uri, HOST) as link:
        assert link.through(uri) == f"postgresql://user:secret@{HOST}:{link.port}/shop?sslmode=disable"
