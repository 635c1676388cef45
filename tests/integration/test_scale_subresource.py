"""The scale subresource on a real API server: who may set the number of pods, and what HPA and KEDA find there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from outboxrelay.api.names import KIND
from tests.support.crd_rules import minimal
from tests.support.kubectl import Kubectl
from tests.support.merging import merged
from tests.support.rig import Rig

pytestmark = pytest.mark.needs_cluster


@pytest.fixture
async def kubectl(outboxrelays: None) -> AsyncIterator[Kubectl]:
    """A namespace of its own; no operator looks at it."""
    tool = Kubectl("scale-subresource", Rig.from_environment().context)
    await tool.run("delete", "namespace", tool.namespace, "--ignore-not-found")
    await tool.run("create", "namespace", tool.namespace)
    yield tool
    await tool.run("delete", "namespace", tool.namespace, "--wait=false")


def scale_path(kubectl: Kubectl) -> str:
    return f"/apis/outboxrelay.dev/v1alpha1/namespaces/{kubectl.namespace}/outboxrelays/orders/scale"


async def scaling_of(kubectl: Kubectl) -> dict[str, object]:
    found: dict[str, object] = (await kubectl.get("outboxrelays", "orders"))["spec"]["scaling"]
    return {name: found[name] for name in ("mode", "replicas") if name in found}


async def test_kubectl_scale_takes_over_where_nobody_decides_and_a_patch_gives_back(kubectl: Kubectl) -> None:
    await kubectl.apply(minimal())
    assert await scaling_of(kubectl) == {}
    await kubectl.run("scale", "outboxrelay", "orders", "--replicas=3")
    assert await scaling_of(kubectl) == {"replicas": 3}
    await kubectl.run("patch", "outboxrelay", "orders", "--type=merge", "-p", '{"spec":{"scaling":{"replicas":null}}}')
    assert await scaling_of(kubectl) == {}


async def test_kubectl_scale_is_refused_in_words_where_the_operator_was_told_to_decide(kubectl: Kubectl) -> None:
    await kubectl.apply(merged(minimal(), {"spec": {"scaling": {"mode": "Auto"}}}))
    outcome = await kubectl.attempt("scale", "outboxrelay", "orders", "--replicas=3")
    assert outcome.code != 0
    assert "with mode Auto the operator decides on the number of pods" in outcome.error
    assert await scaling_of(kubectl) == {"mode": "Auto"}


async def test_what_hpa_and_keda_read_and_write_is_there_with_mode_external(kubectl: Kubectl) -> None:
    await kubectl.apply(merged(minimal(), {"spec": {"scaling": {"mode": "External", "replicas": 2}}}))
    assert json.loads(await kubectl.run("get", "--raw", scale_path(kubectl)))["spec"]["replicas"] == 2
    await kubectl.run("scale", "outboxrelay", "orders", "--replicas=5")
    assert await scaling_of(kubectl) == {"mode": "External", "replicas": 5}


async def test_the_example_of_an_hpa_is_taken(kubectl: Kubectl) -> None:
    objects = list(yaml.safe_load_all(Path("examples/hpa.yaml").read_text()))
    assert [item["kind"] for item in objects] == [KIND, "HorizontalPodAutoscaler"]
    await kubectl.apply(*objects)
    found = await kubectl.get("horizontalpodautoscalers", "orders")
    assert found["spec"]["scaleTargetRef"]["kind"] == KIND
