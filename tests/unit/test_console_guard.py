"""Who the console answers, how, and with which headers: also over a real connection."""

import asyncio
import socket

import aiohttp
import pytest

from outboxrelay.controller.console.answers import HEADERS
from tests.pictures.fleet import bodies
from tests.support.console_stage import Stage
from tests.support.relay_bodies import MOMENT

OURS = ["localhost", "localhost:8081", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:8081", "[::1]", "[::1]:8081"]
OTHERS = [
    *("", "evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "localhost."),
    *("10.0.0.1:8081", "0.0.0.0", "127.0.0.2", "::1", "localhost:evil", "localhost:", "localhost:80:80", "[::1]evil"),
    *("user@localhost", "localhost, evil.example", "localhost\u0661:80", "<script>"),
]


@pytest.mark.parametrize("host", OURS)
async def test_names_of_this_machine_are_answered_whatever_the_port(host: str) -> None:
    async with Stage().leading() as stage:
        assert stage.get("/", host=host).status == 200


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("path", ["/", "/console.css", "/nowhere"])
async def test_any_other_name_is_refused_and_told_what_to_do(host: str, path: str) -> None:
    async with Stage(bodies(MOMENT)).leading() as stage:
        answer = stage.get(path, host=host)
    assert (answer.status, answer.content_type) == (403, "text/plain; charset=utf-8")
    assert "http://localhost:PORT" in answer.body
    assert "kubectl port-forward" in answer.body
    assert "captures" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"])
async def test_whoever_wants_to_change_something_is_refused(method: str) -> None:
    async with Stage().leading() as stage:
        answer = stage.get("/", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_every_answer_has_the_headers_that_close_a_page() -> None:
    stage = Stage(bodies(MOMENT))
    found = [stage.get("/")]
    async with stage.leading():
        paths = (
            "/",
            "/incidents",
            "/chains",
            "/relays/shop/stock",
            "/nowhere",
            "/console.css",
            "/console.js",
            "/icon.svg",
        )
        found += [stage.get(path) for path in paths]
        found += [stage.get("/", host="evil"), stage.get("/", method="POST"), stage.get("/", {"sort": "x"})]
    for answer in found:
        assert HEADERS.items() <= answer.headers.items()
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
        assert set(policy.values()) == {"'self'"}
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["Cache-Control"] == "no-store"


async def test_it_is_the_same_over_a_connection() -> None:
    async with Stage(bodies(MOMENT)).leading() as stage, stage.served() as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/", params={"q": "stock"}) as answer:
            text = await answer.text()
            assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
            assert HEADERS.items() <= dict(answer.headers).items()
        assert ">stock<" in text
        assert ">captures<" not in text
        async with session.head(f"{url}/") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with session.get(f"{url}/", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        async with session.post(f"{url}/", data=b"x" * 100_000) as answer:
            assert answer.status == 405
        async with session.get(f"{url}/%2e%2e/%2e%2e/etc/passwd") as answer:
            assert answer.status == 404
        async with session.get(f"{url}/?q=%ff%00&q=second&sort=lag") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"],
    ids=["no host", "two hosts", "no HTTP"],
)
async def test_what_no_browser_sends_shows_nothing(sent: bytes) -> None:
    async with Stage(bodies(MOMENT)).leading() as stage, stage.served() as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(4096), 10)
        writer.close()
        assert answer.split()[1] in (b"400", b"403")
        assert b"captures" not in answer


async def test_it_listens_on_the_loopback_only() -> None:
    async with Stage().leading() as stage, stage.served() as url:
        port = int(url.rpartition(":")[2])
        with socket.socket() as other:
            # Another address of this machine: a server that listened on all of them would hold this one, too.
            other.bind(("127.0.0.2", port))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"http://127.0.0.2:{port}/")
