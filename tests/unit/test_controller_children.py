"""Watching Deployments and pods: what changes wakes its relay, and a broken watch lists anew."""

import asyncio
from typing import Any

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.controller.children import RELIST_SECONDS, Children
from outboxrelay.controller.observe import deployment_facts, fingerprint, pod_facts
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.rollouts import Template
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.deployment import deployment
from outboxrelay.manifests.kinds import DEPLOYMENT
from tests.support.fake_kube import FakeKube, FakeWatch
from tests.support.relay_bodies import manifest, pod_body
from tests.support.tasks import owned

pytestmark = pytest.mark.looptime

KEY = ("shop", "orders")


def live(kube: FakeKube, replicas: int = 1) -> dict[str, Any]:
    return kube.put(DEPLOYMENT, deployment(manifest(), {"spec": {}}, Template("d", 1, "h"), replicas))


async def test_a_change_wakes_the_relay_that_owns_the_child() -> None:
    kube, watch, woken = FakeKube(), FakeWatch(), list[Key]()
    children = Children(kube, watch, woken.append)
    async with owned(children.run([])):
        await children.synced()
        body = live(kube)
        watch.events.put_nowait(("event", "ADDED", body))
        await asyncio.sleep(1)
        assert woken == [KEY]
        assert children.deployment(KEY, "orders-relay") is not None
        watch.events.put_nowait(("event", "DELETED", body))
        await asyncio.sleep(1)
        assert children.deployment(KEY, "orders-relay") is None


async def test_a_watch_that_has_fallen_too_far_behind_lists_anew_at_once() -> None:
    kube, watch, woken = FakeKube(), FakeWatch(), list[Key]()
    children = Children(kube, watch, woken.append)
    async with owned(children.run([])):
        await children.synced()
        live(kube)
        watch.events.put_nowait(ClusterFault(410, "Expired", "too old"))
        await asyncio.sleep(0.1)
        assert woken == [KEY]


async def test_a_watch_that_ends_goes_on_where_it_ended_and_lists_anew_only_now_and_then() -> None:
    kube, watch, woken = FakeKube(), FakeWatch(), list[Key]()
    children = Children(kube, watch, woken.append)
    async with owned(children.run([])):
        await children.synced()
        kube.calls.clear()
        body = live(kube)
        watch.events.put_nowait(("event", "ADDED", body))
        await asyncio.sleep(45)
        watch.events.put_nowait(None)
        await asyncio.sleep(1)
        assert watch.versions[1:] == [body["metadata"]["resourceVersion"]]
        assert kube.calls == []
        # Nobody tells of this one.
        live(kube, 5)
        await asyncio.sleep(RELIST_SECONDS)
        watch.events.put_nowait(None)
        await asyncio.sleep(1)
        assert len(kube.calls) == 1
        found = children.deployment(KEY, "orders-relay")
        assert found is not None
        assert found["spec"]["replicas"] == 5


async def test_an_api_server_that_is_away_is_tried_again_with_backoff_until_it_is_back() -> None:
    kube, watch, woken = FakeKube(), FakeWatch(), list[Key]()
    children = Children(kube, watch, woken.append)
    async with owned(children.run([])):
        await children.synced()
        kube.refuse = lambda _verb, _kind: ClusterFault(0, "NoAnswer", "away")
        kube.calls.clear()
        watch.events.put_nowait(ClusterFault(0, "NoAnswer", "away"))
        await asyncio.sleep(120)
        assert 10 < len(kube.calls) < 60
        kube.refuse = lambda _verb, _kind: None
        live(kube)
        await asyncio.sleep(11)
        assert woken == [KEY]


async def test_what_a_write_returned_is_not_replaced_by_an_older_event() -> None:
    kube, watch = FakeKube(), FakeWatch()
    children = Children(kube, watch, lambda _key: None)
    async with owned(children.run(["shop"])):
        await children.synced()
        old, new = live(kube, 1), live(kube, 2)
        children.remember(DEPLOYMENT, new)
        watch.events.put_nowait(("event", "MODIFIED", old))
        await asyncio.sleep(1)
        found = children.deployment(KEY, "orders-relay")
        assert found is not None
        assert found["spec"]["replicas"] == 2


def test_a_fingerprint_follows_what_is_asked_for_and_not_what_is_reported() -> None:
    kube = FakeKube()
    body = live(kube)
    reported = {**body, "status": {"replicas": 1}}
    reported["metadata"] = {
        **body["metadata"],
        "resourceVersion": "99",
        "annotations": {**body["metadata"]["annotations"], "deployment.kubernetes.io/revision": "2"},
    }
    assert fingerprint(reported) == fingerprint(body)
    assert fingerprint(live(kube, 5)) != fingerprint(body)
    assert fingerprint({**body, "metadata": {**body["metadata"], "labels": {}}}) != fingerprint(body)


@pytest.mark.parametrize(
    ("status", "problem", "said"),
    [
        (
            {
                "containerStatuses": [
                    {"image": "x", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}
                ]
            },
            Reason.IMAGE_PULL_FAILED,
            "image x cannot be pulled: no",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
                    }
                ]
            },
            Reason.CRASH_LOOPING,
            "exit code 2 (Error)",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
                ]
            },
            Reason.UNSCHEDULABLE,
            "no node fits: 0/3 nodes",
        ),
    ],
)
def test_what_keeps_a_pod_from_running_is_recognised(status: dict[str, Any], problem: Reason, said: str) -> None:
    facts = pod_facts(pod_body(ready=False, **status))
    assert facts is not None
    assert facts.problem is problem
    assert said in facts.message


def test_pods_that_end_are_not_counted() -> None:
    ending = pod_body()
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pod_facts(ending) is None
    assert pod_facts(pod_body(phase="Failed")) is None


def test_what_a_deployment_was_refused_is_read_from_its_conditions() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    facts = deployment_facts({"metadata": {"generation": 2}, "status": {"conditions": [failure, late]}})
    assert (facts.refused, facts.overdue, facts.settled) == ("exceeded quota: small", True, False)
