"""What stands in examples/ is valid, and what belongs together agrees."""

from pathlib import Path

import pytest

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import API_VERSION, KIND
from outboxrelay.decisions.autoscaling.observe import policy_of
from tests.support.example_trial import references
from tests.support.examples import EXAMPLES, ROOT, files, objects

SCALERS = {"hpa.yaml": "HorizontalPodAutoscaler", "keda-scaledobject.yaml": "ScaledObject"}


def test_every_file_is_tried_on_the_cluster_or_tells_about_the_others() -> None:
    found = {file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*") if file.is_file()}
    found = {name for name in found if "__pycache__" not in name}
    # The tutorial has a test of its own, which runs every command of it.
    of_tutorial = {name for name in found if name.startswith("tutorial/")}
    assert [name for name in of_tutorial if f"examples/{name}" not in Path("docs/tutorial.md").read_text()] == []
    assert found - of_tutorial == files() | {"README.md"}


@pytest.mark.parametrize("name", sorted(files() - {"credentials/orders-db/uri"}))
def test_every_file_is_told_about_and_names_what_belongs_to_it(name: str) -> None:
    assert f"]({name})" in (ROOT / "README.md").read_text()
    if name in EXAMPLES:
        text = (ROOT / name).read_text()
        assert text.startswith("# ")
        assert [
            file for file in EXAMPLES[name].sql + EXAMPLES[name].beside if f"examples/{file.split('/')[0]}" not in text
        ] == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_secret_that_an_example_needs_is_in_it_or_its_comment_names_it(name: str) -> None:
    text, found = (ROOT / name).read_text(), objects(name)
    written = {item["metadata"]["name"] for item in found if item["kind"] == "Secret"}
    for relay in (item for item in found if item["kind"] == KIND):
        for _, reference in references(relay["spec"]):
            comment = text[: text.index("apiVersion")]
            assert reference["name"] in written or reference["name"] in comment


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
