"""outboxrelay check: what the pods of an operator say decides, and one line says what is wrong."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from outboxrelay import cli
from outboxrelay.adapters.readiness_client import readiness
from outboxrelay.cli.check import complaint
from tests.support.relay_process import free_port


@asynccontextmanager
async def pod(status: int, text: str) -> AsyncIterator[int]:
    """A pod that says so at /readyz; gives its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    application = web.Application()
    application.router.add_get("/readyz", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answers", "replicas", "said"),
    [
        ({"10.0.0.1": "leading"}, 1, ""),
        ({"10.0.0.1": "standing by", "10.0.0.2": "leading"}, 2, ""),
        ({"10.0.0.1": "leading"}, 2, "1 of 2 pods are ready"),
        ({}, 1, "0 of 1 pods are ready"),
        ({"10.0.0.1": "standing by"}, 1, "no pod leads"),
        ({"10.0.0.1": "leading", "10.0.0.2": "leading"}, 2, "10.0.0.1 and 10.0.0.2 lead; exactly one"),
        ({"10.0.0.1": "leading", "10.0.0.2": "not ready: x"}, 1, "10.0.0.2: not ready: x"),
    ],
)
def test_one_must_lead_and_the_others_stand_by(answers: dict[str, str], replicas: int, said: str) -> None:
    found = complaint(answers, replicas)
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("status", "text", "answer"),
    [
        (200, "leading\n", "leading"),
        (503, "the Kubernetes API has not answered yet\n", "not ready: the Kubernetes API has not answered yet"),
    ],
)
async def test_a_pod_is_asked_at_its_address(status: int, text: str, answer: str) -> None:
    async with pod(status, text) as port:
        assert await readiness("127.0.0.1", port, 3) == {"127.0.0.1": answer}


async def test_a_pod_that_is_not_there_and_a_name_that_leads_nowhere_are_no_errors(unused_tcp_port: int) -> None:
    answers = await readiness("127.0.0.1", unused_tcp_port, 3)
    assert answers == {"127.0.0.1": "no answer: ClientConnectorError"}
    assert await readiness("a..b", unused_tcp_port, 3) == {}


def test_what_is_wrong_is_one_line_and_the_exit_code_says_that_it_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setattr(sys, "argv", ["outboxrelay", "check", "--host", "127.0.0.1", f"--port={port}", "--timeout=1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"outboxrelay: the operator at 127.0.0.1:{port} does not work after 1 s: "
        "127.0.0.1: no answer: ClientConnectorError\n"
    )
