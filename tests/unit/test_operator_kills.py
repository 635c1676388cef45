"""What the kills of the operator are judged by sees each way in which a relay can be other than declared."""

import copy

import pytest

from outboxrelay.manifests.kinds import CONFIG_MAP, DEPLOYMENT
from tests.support.operator_kills import REVISION, Declared, Disagreement, Object, differs

WANTED = Declared(batch=101, replicas=2, uid="u", edits=1, scalings=1)


def children() -> dict[str, Object]:
    """As declared, after an edit and a scaling."""
    owners = [{"uid": "u"}]
    metadata = {"ownerReferences": owners, "generation": 3, "annotations": {REVISION: "2"}}
    return {
        CONFIG_MAP.kind: {"metadata": {"ownerReferences": owners}, "data": {"relay.yaml": "    batchSize: 101\n"}},
        DEPLOYMENT.kind: {"metadata": metadata, "spec": {"replicas": 2}},
    }


def test_a_relay_as_declared_differs_in_nothing() -> None:
    assert differs("orders", WANTED, children()) == ""


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((CONFIG_MAP.kind, "data", "relay.yaml"), "    batchSize: 100\n", "batchSize: 101"),
        ((CONFIG_MAP.kind, "metadata", "ownerReferences"), [{"uid": "old"}], "belongs to"),
        ((DEPLOYMENT.kind, "metadata", "ownerReferences"), [], "belongs to"),
        ((DEPLOYMENT.kind, "spec", "replicas"), 1, "asks for 1 pods"),
    ],
)
def test_what_is_not_there_yet_is_waited_for(path: tuple[str, str, str], value: object, said: str) -> None:
    found = copy.deepcopy(children())
    found[path[0]][path[1]][path[2]] = value
    assert said in differs("orders", WANTED, found)


@pytest.mark.parametrize(
    ("field", "value"), [("annotations", {REVISION: "3"}), ("generation", 4)], ids=["template", "generation"]
)
def test_what_was_changed_more_often_than_the_spec_is_an_error_at_once(field: str, value: object) -> None:
    found = copy.deepcopy(children())
    found[DEPLOYMENT.kind]["metadata"][field] = value
    with pytest.raises(Disagreement):
        differs("orders", WANTED, found)
