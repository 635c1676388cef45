"""A real Chromium without a window, spoken to by its DevTools protocol: what it shows, asks for, and complains of."""

import asyncio
import base64
import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.debian_server import program
from tests.support.tasks import owned
from tests.support.waiting import until

PROGRAM = "chromium-headless-shell"
FLAGS = (
    "--no-sandbox",  # tests run as root, where Chromium refuses its own
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    # Nothing but this machine has an address.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
SECONDS = 30.0
Object = dict[str, Any]


class Page:
    """One tab. ``asked`` holds the addresses that it wanted, ``refused`` those of them that a page's own policy did not
    let it request, ``complaints`` what stands in its console."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, group: int) -> None:
        self._socket = socket
        self.group = group
        """Of the browser's processes."""
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Object]] = {}
        self._loaded = asyncio.Event()
        self._session = ""
        self._requests: dict[str, str] = {}
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.complaints: list[str] = []

    async def begin(self) -> None:
        """Open the tab, and follow what goes on in it."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def window(self, width: int, *, height: int = 900, dark: bool = False) -> None:
        """Its size in pixels, and the colours that its owner prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def scripts(self, on: bool) -> None:
        """Whether scripts of pages run."""
        await self.call("Emulation.setScriptExecutionDisabled", value=not on)

    async def visit(self, url: str) -> None:
        """Go there, and wait until everything is loaded."""
        self._loaded.clear()
        answer = await self.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        async with asyncio.timeout(SECONDS):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def screenshot(self, *, whole: bool = True) -> bytes:
        """PNG of the whole page, or of what the window shows of it."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    async def call(self, method: str, **parameters: Any) -> Object:
        """Have the browser do something."""
        number = next(self._numbers)
        answer: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        message: Object = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        async with asyncio.timeout(SECONDS):
            return await answer

    async def listen(self) -> None:
        """Take answers and events until the browser ends."""
        async for message in self._socket:
            told = message.json()
            if (waiting := self._answers.pop(told.get("id", 0), None)) is not None:
                if "error" in told:
                    waiting.set_exception(AssertionError(told["error"]["message"]))
                else:
                    waiting.set_result(told["result"])
            elif "method" in told:
                self._event(told["method"], told["params"])

    def _event(self, method: str, event: Object) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self._requests[event["requestId"]] = event["request"]["url"]
                self.asked.append(event["request"]["url"])
            case "Network.loadingFailed" if event.get("blockedReason") == "csp":
                self.refused.append(self._requests[event["requestId"]])
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"{event['type']}: {[item.get('value') for item in event['args']]}")
            case "Runtime.exceptionThrown":
                self.complaints.append(f"exception: {event['exceptionDetails']}")
            case "Log.entryAdded":
                self.complaints.append(f"{event['entry']['source']}: {event['entry']['text']}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A tab of a browser that lives as long as the block; raises AssertionError where Chromium is missing."""
    command = [program(PROGRAM, PROGRAM), *FLAGS]
    # Chromium writes on for a moment after its end.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "log").open("wb") as log:
            command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
            # A group of its own: the program is a script that starts the browser, and that starts many more.
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, start_new_session=True)
        try:
            address = await until(partial(_address, folder, process), PROGRAM, SECONDS, last=(folder / "log").read_text)
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket, process.pid)
                async with owned(page.listen()):
                    await page.begin()
                    yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str | None:
    """Where it listens, once it has written that down."""
    assert process.returncode is None, f"{PROGRAM} has ended: {(folder / 'log').read_text()[-2000:]}"
    told = folder / "profile/DevToolsActivePort"
    lines = told.read_text().split() if told.exists() else []
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}" if len(lines) == 2 else None
