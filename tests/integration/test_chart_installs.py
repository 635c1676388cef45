"""The chart installed by the real helm in a namespace of its own, beside whatever else the cluster serves."""

import asyncio
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.helm import CHART, helm, kubectl, sets
from tests.support.relay_line import RelayLine, relay_line
from tests.support.rig import Rig
from tests.support.service_names import publish

pytestmark = pytest.mark.needs_cluster

RELEASE = "chart-test"
OPERATOR = f"{RELEASE}-outbox-relay-operator"
DEFINITION = "outboxrelays.outboxrelay.dev"
EXAMPLE = CHART.parents[1] / "examples/orders.yaml"


def run(*arguments: str) -> str:
    done = kubectl(*arguments)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def metadata(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("get", *arguments, "-o", "json"))["metadata"]
    return found


@pytest.fixture
def image() -> str:
    """The image that is installed: named, or built and loaded before by `make test`."""
    if named := os.environ.get("OUTBOXRELAY_IMAGE"):
        return named
    from tests.cluster.image import ensure

    return ensure()[0]


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that is removed afterwards."""
    name = f"chart-{secrets.token_hex(4)}"
    run("create", "namespace", name)
    yield name
    helm("uninstall", RELEASE, "--namespace", name, "--ignore-not-found")
    run("delete", "namespace", name)


@pytest.fixture
def brings_definition(namespace: str) -> Iterator[bool]:
    """Whether the chart may install the definition: not where it is another's, and then it is removed afterwards."""
    is_absent = run("get", "crd", DEFINITION, "--ignore-not-found") == ""
    yield is_absent
    if is_absent:
        run("-n", namespace, "delete", "outboxrelays", "--all")
        if not json.loads(run("get", "outboxrelays", "-A", "-o", "json"))["items"]:
            run("delete", "crd", DEFINITION)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[RelayLine]:
    """A database with an outbox table, and a topic, for the delivery of `helm test`."""
    with asyncio.Runner() as runner:
        made = relay_line(tmp_path)
        found = runner.run(made.__aenter__())
        runner.run(found.database.execute((CHART.parents[1] / "examples/outbox.sql").read_text()))
        yield found
        runner.run(made.__aexit__(None, None, None))


def test_installing_starts_two_pods_and_uninstalling_leaves_the_definition_and_every_relay(
    namespace: str, brings_definition: bool, image: str, line: RelayLine
) -> None:
    repository, _, tag = image.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "watchNamespaces": [namespace],
        "crds": {"install": brings_definition},
        "helmTest.delivery": {
            "create": True,
            "uriSecret": "relay-test",
            "target": {"bootstrapServers": line.servers.split(","), "topic": line.topic, "protocol": "PLAINTEXT"},
        },
    }
    run("-n", namespace, "create", "secret", "generic", "relay-test", f"--from-literal=uri={line.uri}")
    done = helm("install", RELEASE, str(CHART), "-n", namespace, "--wait", "--timeout", "90s", *sets(values))
    assert done.returncode == 0, done.stderr
    assert f"-n {namespace} apply" in done.stdout
    ready = run("-n", namespace, "get", "deployment", OPERATOR, "-o", "jsonpath={.status.readyReplicas}")
    assert ready == "2"
    if Rig.from_environment().is_local:
        publish(namespace, OPERATOR)
    done = helm("test", RELEASE, "-n", namespace, "--timeout", "90s", "--logs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(re.findall(r"^[\d.]+: (.*)$", done.stdout, re.MULTILINE)) == ["leading", "standing by"], done.stdout
    assert "row 1 of public.outbox was delivered within" in done.stdout
    assert (
        run(
            "-n",
            namespace,
            "get",
            "outboxrelays,pods",
            "-l",
            "app.kubernetes.io/name=outbox-relay-operator-test",
            "-o",
            "name",
        )
        == ""
    )
    run("-n", namespace, "apply", "-f", str(EXAMPLE))
    run("-n", namespace, "wait", "outboxrelay/orders", "--for=condition=Accepted", "--timeout=30s")
    children = metadata("-n", namespace, "deployment", "orders-relay")

    done = helm("uninstall", RELEASE, "-n", namespace, "--wait", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
    assert run("-n", namespace, "get", "deployment", OPERATOR, "--ignore-not-found") == ""
    relay = metadata("-n", namespace, "outboxrelay", "orders")
    assert {"deletionTimestamp", "finalizers"} & set(relay) == set()
    assert metadata("-n", namespace, "deployment", "orders-relay")["uid"] == children["uid"]
    assert "deletionTimestamp" not in metadata("crd", DEFINITION)
