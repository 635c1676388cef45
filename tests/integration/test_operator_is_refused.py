"""The service account of the chart on the real API server: what it needs works, and everything else is refused.

Requests are real ones, with a token of that service account. No operator runs; it has what the chart's roles give.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from tests.support.crd_rules import minimal
from tests.support.helm import CHART, helm, kubectl, sets
from tests.support.privileges import (
    ALLOWED,
    REFUSED,
    REFUSED_WHERE_NOT_SERVED,
    Request,
    ask,
    asked,
    rules_review,
)
from tests.support.rig import Rig

pytestmark = [pytest.mark.needs_cluster, pytest.mark.usefixtures("outboxrelays")]

RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True)
class Account:
    """A service account and the namespaces around it."""

    own: str
    shop: str
    other: str
    name: str
    serves_all: bool

    def answers(self, requests: tuple[Request, ...]) -> dict[str, int]:
        """The status of each."""
        names = {"own": self.own, "shop": self.shop, "other": self.other}
        server, authority = address()
        return ask(
            server, authority, run("-n", self.own, "create", "token", self.name).strip(), asked(requests, **names)
        )


def run(*arguments: str, stdin: str = "") -> str:
    done = kubectl(*arguments, stdin=stdin)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def address() -> tuple[str, str]:
    """Of the API server: its URL, and the file with its authority."""
    found = client.Configuration()
    config.load_kube_config(context=Rig.from_environment().context, client_configuration=found)
    return str(found.host), str(found.ssl_ca_cert)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[dict[str, str]]:
    """Three namespaces: of the operator, with relays that it serves, and of somebody else; each with a Secret."""
    mark = uuid.uuid4().hex[:6]
    made = {part: f"{part}-{mark}" for part in ("own", "shop", "other")}
    for name in made.values():
        run("create", "namespace", name)
        run("-n", name, "create", "secret", "generic", "orders-db", "--from-literal=uri=postgresql://u:p@db/d")
        run("-n", name, "apply", "-f", "-", stdin=json.dumps(minimal()))
    yield made
    for name in made.values():
        run("delete", "namespace", name, "--wait=false")


def rights(own: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of the chart that give rights, as helm renders them."""
    done = helm("template", "relays", str(CHART), "--namespace", own, *sets(values))
    assert done.returncode == 0, done.stderr
    found = [item for item in yaml.safe_load_all(done.stdout) if item and item["kind"] in RIGHTS]
    for item in found:
        if not item["kind"].startswith("Cluster"):
            item["metadata"].setdefault("namespace", own)
    return found


@pytest.fixture(scope="module", params=["some namespaces", "all namespaces"])
def account(request: pytest.FixtureRequest, namespaces: dict[str, str]) -> Iterator[Account]:
    """The service account, with the rights of one of both modes; they go afterwards."""
    serves_all = request.param == "all namespaces"
    values = {} if serves_all else {"watchNamespaces": [namespaces["shop"]]}
    objects = yaml.safe_dump_all(rights(namespaces["own"], values))
    run("apply", "-f", "-", stdin=objects)
    yield Account(**namespaces, name="relays-outbox-relay-operator", serves_all=serves_all)
    run("delete", "-f", "-", stdin=objects)


def test_what_it_needs_is_granted(account: Account) -> None:
    assert set(account.answers(ALLOWED).values()) == {200}


def test_everything_else_is_refused(account: Account) -> None:
    assert {request: status for request, status in account.answers(REFUSED).items() if status != 403} == {}


def test_other_namespaces_and_the_operators_own_secrets_are_refused_unless_it_serves_all(account: Account) -> None:
    found = account.answers(REFUSED_WHERE_NOT_SERVED)
    assert {request for request, status in found.items() if (status == 403) == account.serves_all} == set()


def test_the_rights_that_the_api_server_tells_are_those_of_the_documentation(account: Account) -> None:
    review = rules_review(account.shop)
    impersonated = f"--as=system:serviceaccount:{account.own}:{account.name}"
    told = json.loads(
        run(impersonated, "create", "--validate=false", "-f", "-", "-o", "json", stdin=json.dumps(review))
    )
    rules = told["status"]["resourceRules"]
    found = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # What every account may: ask what it may do, and who it is.
    assert found - documented() <= {
        ("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "create"),
        ("authentication.k8s.io", "selfsubjectreviews", "create"),
    }
    assert documented() <= found


def documented() -> set[tuple[str, str, str]]:
    """The table of docs/rbac.md about where relays live: group, resource, verb."""
    page = Path("docs/rbac.md").read_text()
    section = page.partition("## Where relays live")[2].partition("\n## ")[0]
    found = set()
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            group, resources, verbs = (cell.replace("`", "").replace('"', "") for cell in cells[:3])
            found |= {(group, one, verb) for one in resources.split(", ") for verb in verbs.split(", ")}
    assert found
    return found
