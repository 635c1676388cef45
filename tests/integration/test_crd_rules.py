"""Every rule of the CRD on a real API server: a manifest that keeps it is taken, one that breaks it is refused."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.errors import InvalidInput
from tests.support.crd_rules import RULES, Case, RuleCases, minimal
from tests.support.kubectl import Kubectl
from tests.support.merging import merged
from tests.support.rig import Rig

pytestmark = pytest.mark.needs_cluster

CRD = Path("crds/outboxrelays.yaml")


@pytest.fixture(scope="module")
def kubectl(outboxrelays: None) -> Iterator[Kubectl]:
    """A namespace of its own on an API server that knows the CRD."""
    tool = Kubectl("crd-rules", Rig.from_environment().context)
    run(tool, "delete", "namespace", tool.namespace, "--ignore-not-found")
    run(tool, "create", "namespace", tool.namespace)
    yield tool
    run(tool, "delete", "namespace", tool.namespace, "--wait=false")


def run(kubectl: Kubectl, *arguments: str) -> None:
    done = subprocess.run(kubectl.command(*arguments), capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr


def refusal(kubectl: Kubectl, case: Case) -> str:
    """What the API server says against a case; empty where it takes it."""
    old = merged(minimal(), case.before) if case.before is not None else None
    if old is not None:
        send(kubectl, old, "apply")
    try:
        new = merged(old or minimal(), case.changes)
        return send(kubectl, new, "apply" if old else "create", dry_run=True)
    finally:
        if old is not None:
            run(kubectl, "delete", "outboxrelays", "--all")


def send(kubectl: Kubectl, manifest: dict[str, Any], verb: str, *, dry_run: bool = False) -> str:
    options = ["--dry-run=server"] if dry_run else []
    done = subprocess.run(
        kubectl.command(verb, *options, "-f", "-"),
        input=json.dumps(manifest),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert dry_run or done.returncode == 0, done.stderr
    return done.stderr.strip() if done.returncode else ""


def rules_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, expression and message of each rule in a schema."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule["rule"], rule["message"]
    for name, part in schema.get("properties", {}).items():
        yield from rules_of(part, f"{path}.{name}".lstrip("."))
    if isinstance(schema.get("items"), dict):
        yield from rules_of(schema["items"], f"{path}[]")


def written() -> list[tuple[str, str, str]]:
    """The rules of crds/outboxrelays.yaml."""
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return list(rules_of(version["schema"]["openAPIV3Schema"]))


MESSAGES = {(path, rule): message for path, rule, message in written()}


def test_the_table_of_cases_has_a_row_for_every_rule_of_the_crd_and_no_other() -> None:
    assert sorted((cases.path, cases.rule) for cases in RULES) == sorted(MESSAGES)
    assert all(cases.good and cases.bad for cases in RULES)


@pytest.mark.parametrize("cases", RULES, ids=lambda cases: f"{cases.path}: {cases.rule}")
def test_what_keeps_the_rule_is_taken_and_what_breaks_it_is_refused_in_the_words_of_the_rule(
    kubectl: Kubectl, cases: RuleCases
) -> None:
    for case in cases.good:
        assert refusal(kubectl, case) == "", case
    for case in cases.bad:
        said = refusal(kubectl, case)
        assert MESSAGES[cases.path, cases.rule] in said, (case, said)


@pytest.mark.parametrize("cases", RULES, ids=lambda cases: f"{cases.path}: {cases.rule}")
def test_the_relay_itself_agrees_on_manifests_that_no_api_server_has_seen(cases: RuleCases) -> None:
    for case in cases.good:
        parse_manifest(merged(minimal(), case.changes))
    if "oldSelf" in cases.rule:
        return
    for case in cases.bad:
        with pytest.raises(InvalidInput, match=r"^(spec|metadata)\b"):
            parse_manifest(merged(minimal(), case.changes))
