"""What stands in examples/ is valid, and what belongs together agrees."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import API_VERSION, KIND
from outboxrelay.decisions.autoscaling.observe import policy_of

ROOT = Path("examples")
SCALERS = {"hpa.yaml": "HorizontalPodAutoscaler", "keda-scaledobject.yaml": "ScaledObject"}


def objects(name: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((ROOT / name).read_text()) if item]


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.yaml")))
def test_every_relay_in_the_examples_is_valid(name: str) -> None:
    relays = [item for item in objects(name) if item["kind"] == KIND]
    assert relays
    for relay in relays:
        parse_manifest(relay)


@pytest.mark.parametrize("name", sorted(SCALERS))
def test_an_autoscaler_in_the_examples_scales_its_relay_which_leaves_that_to_it(name: str) -> None:
    [relay] = [item for item in objects(name) if item["kind"] == KIND]
    [scaler] = [item for item in objects(name) if item["kind"] == SCALERS[name]]
    target = {"apiVersion": API_VERSION, "kind": KIND, "name": relay["metadata"]["name"]}
    assert scaler["spec"]["scaleTargetRef"] == target
    spec = parse_manifest(relay).spec
    most = scaler["spec"].get("maxReplicas") or scaler["spec"]["maxReplicaCount"]
    assert spec.scaling.effective_mode == "External"
    assert most <= min(spec.ordering.shards, spec.source.database.most_pods)


def test_the_example_of_autoscaling_shows_every_setting_of_it_and_its_comment_counts_right() -> None:
    [relay] = objects("autoscaling.yaml")
    spec = parse_manifest(relay).spec
    shown = set(relay["spec"]["scaling"])
    assert shown == {field.alias for field in type(spec.scaling).model_fields.values()} - {"replicas"}
    assert spec.source.database.most_pods == 10
    assert policy_of(spec, 5.0).maximum == 8


def test_the_guide_names_every_setting_with_its_default() -> None:
    text = Path("docs/scaling.md").read_text()
    spec = parse_manifest(objects("orders.yaml")[1]).spec
    for model in (spec.scaling, spec.objectives):
        for field, value in model.model_dump(by_alias=True).items():
            if field not in ("mode", "replicas"):
                assert f"| `{field}` | {str(value).lower()} |" in text, field
    assert f"| `source.database.maxConnections` | {spec.source.database.max_connections} |" in text


def test_the_guide_names_every_reason_that_scaling_can_have() -> None:
    text = Path("docs/scaling.md").read_text()
    reasons = (
        "Active", "Manual", "External", "DryRun", "MetricsUnavailable", "TargetDown", "SourceSaturated", "NoProgress",
        "RecoveryRamp", "Ineffective", "AtMaximum", "BudgetExhausted", "Paused", "Stopped",
    )  # fmt: skip
    assert [reason for reason in reasons if f"`{reason}`" not in text] == []
