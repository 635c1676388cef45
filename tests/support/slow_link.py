"""A link to a server that takes its time, as to another region, or that carries only so much for all who use it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 4096
"""What passes at once: all connections take turns by it."""
CHUNKS_ON_THE_WAY = 256
"""Of one direction of one connection; who sends more waits."""


class SlowLink:
    """Passes on what connections carry; both limits may be changed meanwhile."""

    def __init__(self, uri: str, host: str, *, delay: float, bytes_per_second: float | None) -> None:
        self._server = urlsplit(uri)
        self._host = host
        self.delay = delay
        """Seconds that everything takes on its way there, and on its way back."""
        self.bytes_per_second = bytes_per_second
        """Of all connections and both directions together; None: any number."""
        self.port = 0
        self._turns = asyncio.Lock()
        self._open: dict[asyncio.StreamWriter, asyncio.Event] = {}
        """Connections, and what tells that one is over."""

    def through(self, uri: str) -> str:
        """The URI by which a pod reaches through this link what ``uri`` names."""
        parts = urlsplit(uri)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@{self._host}:{self.port}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        over = self._open[writer] = asyncio.Event()
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(self._server.hostname, self._server.port)
            writers.append(far_writer)
            ways = [self._carry(reader, far_writer), self._carry(far_reader, writer)]
            running = [asyncio.create_task(way, name="way of a slow link") for way in ways]
            try:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in running:
                    way.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        except OSError:
            return
        finally:
            for each in writers:
                each.close()
            for each in writers:
                with suppress(OSError):
                    await each.wait_closed()
            del self._open[writer]
            over.set()

    async def close(self) -> None:
        """End all connections."""
        for writer, over in list(self._open.items()):
            writer.transport.abort()
            await over.wait()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_ON_THE_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(source, waiting), name="near end of a slow link")
            group.create_task(self._give(waiting, target), name="far end of a slow link")

    async def _take(self, source: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"more"
        while data:
            data = await source.read(CHUNK_BYTES)
            await waiting.put((time.monotonic() + self.delay, data))

    async def _give(self, waiting: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                return
            await self._turn(len(data))
            target.write(data)
            await target.drain()

    async def _turn(self, size: int) -> None:
        """Wait while what came before is carried, and for as long as this takes itself."""
        async with self._turns:
            if self.bytes_per_second is not None:
                await asyncio.sleep(size / self.bytes_per_second)


@asynccontextmanager
async def slow_link(
    uri: str, host: str, *, delay: float = 0.0, bytes_per_second: float | None = None
) -> AsyncIterator[SlowLink]:
    """A link to the server of ``uri``, on a free port of ``host``."""
    link = SlowLink(uri, host, delay=delay, bytes_per_second=bytes_per_second)
    server = await asyncio.start_server(link.serve, host, 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        await link.close()
        await server.wait_closed()
