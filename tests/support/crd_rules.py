"""The rules of the CRD, each with a manifest that keeps it and changes that break it."""

from typing import Any, NamedTuple

from outboxrelay.api import names

Changes = dict[str, Any]

DATABASE = {"uriSecretRef": {"name": "orders-db", "key": "uri"}}
HOST = {"uriSecretRef": None, "host": "db", "name": "shop", "credentialsSecretRef": {"name": "orders-db"}}
SASL = {"protocol": "SASL_SSL", "saslMechanism": "PLAIN", "credentialsSecretRef": {"name": "kafka"}}
CA = {"name": "ca", "key": "ca.pem"}


def minimal(name: str = "orders") -> dict[str, Any]:
    """The shortest OutboxRelay."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {
            "source": {"database": dict(DATABASE), "table": {"name": "outbox"}},
            "target": {"bootstrapServers": ["kafka:9092"], "topic": "orders.events"},
        },
    }


class Case(NamedTuple):
    """What of a manifest is changed. ``before`` is laid over the manifest that exists, for rules about updates."""

    changes: Changes
    before: Changes | None = None


class RuleCases(NamedTuple):
    """Manifests on both sides of one rule, which is known by its path in the schema and its expression."""

    path: str
    rule: str
    good: tuple[Case, ...]
    bad: tuple[Case, ...]


def spec(**changes: Any) -> Changes:
    """Changes below spec."""
    return {"spec": changes}


def database(**changes: Any) -> Changes:
    """Changes below spec.source.database."""
    return spec(source={"database": changes})


def target(**changes: Any) -> Changes:
    """Changes below spec.target."""
    return spec(target=changes)


RULES = (
    RuleCases(
        "",
        "self.metadata.name.size() <= 52",
        good=(Case({"metadata": {"name": "a" * 52}}),),
        bad=(Case({"metadata": {"name": "a" * 53}}),),
    ),
    RuleCases(
        "spec",
        "self.scaling.replicas <= self.ordering.shards",
        good=(Case(spec(scaling={"replicas": 4}, ordering={"shards": 4})), Case(spec(scaling={"replicas": 16}))),
        bad=(Case(spec(scaling={"replicas": 5}, ordering={"shards": 4})), Case(spec(scaling={"replicas": 17}))),
    ),
    RuleCases(
        "spec",
        "self.target.topic == oldSelf.target.topic || oldSelf.state == 'Stopped'",
        good=(Case(target(topic="other"), before=spec(state="Stopped")), Case({}, before={})),
        bad=(
            Case(target(topic="other"), before={}),
            Case(target(topic="other"), before=spec(state="Paused")),
            Case(spec(state="Stopped", target={"topic": "other"}), before={}),
        ),
    ),
    RuleCases(
        "spec.source.database",
        "has(self.uriSecretRef) != has(self.host)",
        good=(Case({}), Case(database(**HOST))),
        bad=(Case(database(uriSecretRef=None)), Case(database(**{**HOST, **DATABASE}))),
    ),
    RuleCases(
        "spec.source.database",
        "!has(self.host) || (has(self.name) && has(self.credentialsSecretRef))",
        good=(Case(database(**HOST, port=6432)),),
        bad=(Case(database(**{**HOST, "name": None})), Case(database(**{**HOST, "credentialsSecretRef": None}))),
    ),
    RuleCases(
        "spec.source.database",
        "has(self.host) || (!has(self.name) && !has(self.credentialsSecretRef))",
        good=(Case(database(caSecretRef=CA)),),
        bad=(Case(database(name="shop")), Case(database(credentialsSecretRef={"name": "orders-db"}))),
    ),
    RuleCases(
        "spec.source.table",
        "self.schema == oldSelf.schema && self.name == oldSelf.name",
        good=(Case(spec(source={"table": {"schema": "public", "afterDelivery": "Mark"}}), before={}),),
        bad=(
            Case(spec(source={"table": {"name": "other"}}), before={}),
            Case(spec(source={"table": {"schema": "other"}}), before={}),
        ),
    ),
    RuleCases(
        "spec.source.read",
        "self.minPollMilliseconds <= self.maxPollMilliseconds",
        good=(Case(spec(source={"read": {"minPollMilliseconds": 500, "maxPollMilliseconds": 500}})),),
        bad=(
            Case(spec(source={"read": {"minPollMilliseconds": 501, "maxPollMilliseconds": 500}})),
            Case(spec(source={"read": {"minPollMilliseconds": 1001}})),
        ),
    ),
    RuleCases(
        "spec.target",
        "self.protocol.startsWith('SASL') == (has(self.saslMechanism) && has(self.credentialsSecretRef))",
        good=(Case(target(**SASL)), Case(target(**{**SASL, "protocol": "SASL_PLAINTEXT"}))),
        bad=(
            Case(target(**{**SASL, "saslMechanism": None})),
            Case(target(**{**SASL, "credentialsSecretRef": None})),
            Case(target(protocol="SASL_PLAINTEXT")),
        ),
    ),
    RuleCases(
        "spec.target",
        "self.protocol.startsWith('SASL') || (!has(self.saslMechanism) && !has(self.credentialsSecretRef))",
        good=(Case(target(protocol="SSL")), Case(target(protocol="PLAINTEXT"))),
        bad=(
            Case(target(saslMechanism="PLAIN")),
            Case(target(protocol="PLAINTEXT", credentialsSecretRef={"name": "kafka"})),
        ),
    ),
    RuleCases(
        "spec.target",
        "!has(self.caSecretRef) || self.protocol.endsWith('SSL')",
        good=(Case(target(caSecretRef=CA)), Case(target(**SASL, caSecretRef=CA))),
        bad=(
            Case(target(protocol="PLAINTEXT", caSecretRef=CA)),
            Case(target(**{**SASL, "protocol": "SASL_PLAINTEXT"}, caSecretRef=CA)),
        ),
    ),
    RuleCases(
        "spec.ordering.shards",
        "self == oldSelf",
        good=(Case(spec(ordering={"shards": 8}), before=spec(ordering={"shards": 8})),),
        bad=(
            Case(spec(ordering={"shards": 8}), before={}),
            Case(spec(ordering=None), before=spec(ordering={"shards": 8})),
        ),
    ),
    RuleCases(
        "spec.retry",
        "self.initialBackoffMilliseconds <= self.maxBackoffSeconds * 1000",
        good=(Case(spec(retry={"initialBackoffMilliseconds": 15000})),),
        bad=(
            Case(spec(retry={"initialBackoffMilliseconds": 15001})),
            Case(spec(retry={"initialBackoffMilliseconds": 1001, "maxBackoffSeconds": 1})),
        ),
    ),
)
