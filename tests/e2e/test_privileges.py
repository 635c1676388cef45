"""The operator and relays as they run: with the token that is in the pod, or with none."""

import asyncio
import json
from pathlib import Path

from tests.support import privileges
from tests.support.kubectl import Kubectl, Object
from tests.support.privileges import ALLOWED, REFUSED, asked, rules_review
from tests.support.release import NAMESPACE, Operator
from tests.support.stand import Stand

TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


async def python(kubectl: Kubectl, pod: Object, code: str, *arguments: str) -> str:
    """What a program prints that runs in a pod."""
    return await kubectl.run("exec", pod["metadata"]["name"], "--", "python3", "-c", code, *arguments)


async def test_the_operator_with_its_own_token_is_refused_what_it_does_not_need(
    stand: Stand, operator: Operator
) -> None:
    line = await stand.line()
    await line.start()
    before = await stand.kubectl.get("outboxrelays", line.name)
    names = {"shop": stand.name, "other": "default", "own": NAMESPACE}
    code = Path(privileges.__file__).read_text()
    pod = await operator.leading_pod()
    found = {}
    for kind, requests in (("allowed", ALLOWED), ("refused", REFUSED)):
        found[kind] = json.loads(await python(operator.kubectl, pod, code, json.dumps(asked(requests, **names))))
    assert set(found["allowed"].values()) == {200}
    assert {request: status for request, status in found["refused"].items() if status != 403} == {}
    after = await stand.kubectl.get("outboxrelays", line.name)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_relays_pod_has_no_token_no_privilege_and_a_root_that_it_cannot_write(stand: Stand) -> None:
    line = await stand.line()
    await line.start()
    (pod,) = await line.pods()
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountToken" not in json.dumps(pod["spec"])
    code = f"""
import json, os
def tried(path):
    try:
        open(path, "w").close()
        return "written"
    except OSError as error:
        return error.strerror
with open("/proc/self/status") as file:
    status = dict(line.rstrip().split(":\\t", 1) for line in file if ":\\t" in line)
print(json.dumps({{
    "token": os.path.exists("{TOKENS}"), "user": os.getuid(), "root": tried("/x"), "code": tried("/opt/outboxrelay/x"),
    "capabilities": status["CapEff"], "new": status["NoNewPrivs"], "seccomp": status["Seccomp"],
}}))
"""
    found = json.loads(await python(stand.kubectl, pod, code))
    assert found == {
        "token": False,
        "user": 65532,
        "root": "Read-only file system",
        "code": "Read-only file system",
        "capabilities": "0000000000000000",
        "new": "1",
        "seccomp": "2",
    }


async def test_the_account_of_a_relay_may_do_no_more_than_one_without_any_right(stand: Stand) -> None:
    line = await stand.line()
    await line.start()
    await stand.kubectl.run("create", "serviceaccount", "nobody")
    review = rules_review(stand.name)

    async def rules(account: str) -> object:
        as_account = f"--as=system:serviceaccount:{stand.name}:{account}"
        said = await stand.kubectl.run(
            as_account, "create", "--validate=false", "-f", "-", "-o", "json", stdin=json.dumps(review)
        )
        return json.loads(said)["status"]["resourceRules"]

    of_relay, of_nobody = await asyncio.gather(rules(line.child), rules("nobody"))
    assert of_relay == of_nobody
