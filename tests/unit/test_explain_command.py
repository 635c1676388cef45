"""outboxrelay explain: from an API server to words, with the numbers that were written."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outboxrelay import cli
from outboxrelay.decisions.explanation import explanation
from outboxrelay.manifests.kinds import RELAY
from tests.support.controller_bench import Bench
from tests.support.fake_api_server import api_server
from tests.support.scaled_relay import BACKLOG, KEY, asked, begin, live

pytestmark = pytest.mark.looptime

PATH = "/apis/outboxrelay.dev/v1alpha1/namespaces/shop/outboxrelays/orders"
Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Exit code, output and errors of `outboxrelay explain …`."""

    def main(*arguments: str) -> tuple[object, str, str]:
        capsys.readouterr()
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setattr(sys, "argv", ["outboxrelay", "explain", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return main


async def scaled_relay(**spec: Any) -> dict[str, Any]:
    """An OutboxRelay with what a controller wrote into it."""
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench, **spec)
        await live(bench, 10)
        body: dict[str, Any] = bench.kube.objects[RELAY.kind, *KEY]
        assert asked(bench) == bench.status(KEY)["scaling"]["desiredReplicas"]
        return body


async def test_a_decision_is_explained_with_its_inputs_its_need_its_gates_and_the_last_step() -> None:
    text = "\n".join(explanation(await scaled_relay()))
    for line in (
        "shop/orders: 3 pods asked for",
        "(mode Auto)",
        "ScaledUp",
        "1 to 3 pods: more pods are needed to keep up (40000 rows wait,",
        "  backlog               40000 rows",
        "  one pod delivers      100 rows/s, seen while pods had as much to do as they can",
        "40000 / targetDrainSeconds 120 = 333 rows/s",
        "or, as rows are late  40000 / 30 s = 1333 rows/s",
        "need                  1300 rows/s / 100 = 13.0 pods",
        "want                  8, between 1 and 8 (scaling.maxReplicas 8)",
        "MetricsUnavailable  open  the table is counted and the pods answer",
        "ScaleUp      SHUT  it is seen for up to 45 s whether the step from 1 to 3 pods helps",
        "ScaleToZero  SHUT  minReplicas is 1",
    ):
        assert line in text
    assert max(map(len, text.splitlines())) < 180


async def test_who_decides_otherwise_is_said_and_nothing_is_made_up() -> None:
    text = "\n".join(explanation(await scaled_relay(scaling={"replicas": 2})))
    assert "2 pods asked for" in text
    assert "ScalingActive=False, Manual" in text
    assert "What is needed" not in text


async def test_a_dry_run_is_explained_as_one() -> None:
    text = "\n".join(explanation(await scaled_relay(scaling={"replicas": 2, "dryRun": True})))
    assert "2 pods asked for, 2 ready (mode Manual, dry run)" in text
    assert "2 to 4 pods" in text


@pytest.mark.parametrize("status", [{}, {"scaling": None}, {"scaling": {"odd": 1}}, {"scaling": "x"}])
def test_a_status_that_nobody_or_another_version_wrote_is_no_error(status: dict[str, Any]) -> None:
    body = {"metadata": {"namespace": "shop", "name": "orders"}, "spec": {}, "status": status}
    assert explanation(body) == ["shop/orders: the operator has not written yet how it scales this relay"]


async def test_the_relay_is_read_from_the_cluster_and_namespace_of_the_kubeconfig(tmp_path: Path, run: Command) -> None:
    async with api_server({PATH: await scaled_relay()}) as server:
        config = str(server.kubeconfig(tmp_path / "config"))
        code, out, _ = await asyncio.to_thread(run, "orders", "--kubeconfig", config)
        assert (code, out.splitlines()[0][:12]) == (0, "shop/orders:")
        code, out, _ = await asyncio.to_thread(run, "orders", "-n", "shop", "--kubeconfig", config, "-o", "json")
        found = json.loads(out)
        assert (code, found["name"], found["scaling"]["mode"]) == (0, "orders", "Auto")
        assert {item["type"] for item in found["conditions"]} == {"ScalingActive", "LagWithinObjective"}
        code, out, _ = await asyncio.to_thread(run, "orders", "--kubeconfig", config, "--context", "here")
        assert code == 0


async def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, run: Command) -> None:
    objects = {PATH: 403}
    async with api_server(objects) as server:
        config = str(server.kubeconfig(tmp_path / "config", token="hidden-token"))
        for arguments, code, said in (
            (("other",), 2, "there is no OutboxRelay other in namespace shop"),
            (("orders",), 1, "may not"),
            (("orders", "-n", "elsewhere"), 2, "in namespace elsewhere"),
            (("orders", "--context", "odd"), 2, "--context: the kubeconfig has no context odd"),
            (("orders", "--context", "nowhere"), 1, "the Kubernetes API does not answer"),
            (("../orders",), 2, "is not the name of a Kubernetes object"),
            (("orders", "-n", "a/b"), 2, "is not the name of a Kubernetes object"),
        ):
            result = await asyncio.to_thread(run, *arguments, "--kubeconfig", config)
            assert result[0] == code, result
            assert said in result[2]
            assert result[2].count("\n") == 1
            assert "hidden-token" not in result[2]


def test_without_a_cluster_it_says_where_it_looked(tmp_path: Path, run: Command) -> None:
    code, _, errors = run("orders", "--kubeconfig", str(tmp_path / "missing"))
    assert code == 1
    assert "cannot find the cluster" in errors
