"""The rules of the CRD, each with a manifest that keeps it and changes that break it."""

from typing import Any, NamedTuple

from outboxrelay.api import names

Changes = dict[str, Any]

DATABASE = {"uriSecretRef": {"name": "orders-db", "key": "uri"}}
HOST = {"uriSecretRef": None, "host": "db", "name": "shop", "credentialsSecretRef": {"name": "orders-db"}}
SASL = {"protocol": "SASL_SSL", "saslMechanism": "PLAIN", "credentialsSecretRef": {"name": "kafka"}}
CA = {"name": "ca", "key": "ca.pem"}

ROUTED: Changes = {"topic": None, "topicTemplate": "orders.{region}", "allowedTopics": ["orders.*"]}
OAUTH = {"tokenEndpointUrl": "https://login/token"}
SAME_TOPIC = (
    "(has(self.target.topic) ? self.target.topic : '') == (has(oldSelf.target.topic) ? oldSelf.target.topic : '') "
    "&& (has(self.target.topicTemplate) ? self.target.topicTemplate : '') == "
    "(has(oldSelf.target.topicTemplate) ? oldSelf.target.topicTemplate : '') || oldSelf.state == 'Stopped'"
)


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
        "!has(self.scaling.replicas) || self.ordering.mode == 'None' || self.scaling.replicas <= self.ordering.shards",
        good=(
            Case(spec(scaling={"replicas": 4}, ordering={"shards": 4})),
            Case(spec(scaling={"replicas": 16})),
            Case(spec(scaling={"replicas": 17}, ordering={"mode": "None"})),
        ),
        bad=(Case(spec(scaling={"replicas": 5}, ordering={"shards": 4})), Case(spec(scaling={"replicas": 17}))),
    ),
    RuleCases(
        "spec",
        "self.ordering.mode == 'None' || self.scaling.minReplicas <= self.ordering.shards",
        good=(
            Case(spec(scaling={"minReplicas": 4}, ordering={"shards": 4})),
            Case(spec(scaling={"minReplicas": 5}, ordering={"mode": "None", "shards": 4})),
            Case(spec(ordering={"shards": 4})),
        ),
        bad=(
            Case(spec(scaling={"minReplicas": 5}, ordering={"shards": 4})),
            Case(spec(scaling={"minReplicas": 2}, ordering={"mode": "Strict", "shards": 1})),
        ),
    ),
    RuleCases(
        "spec",
        "self.scaling.minReplicas * 4 <= self.source.database.maxConnections",
        good=(
            Case(spec(scaling={"minReplicas": 2}, source={"database": {"maxConnections": 8}})),
            Case(spec(scaling={"minReplicas": 0}, source={"database": {"maxConnections": 4}})),
            Case(spec(scaling={"replicas": 16})),
        ),
        bad=(
            Case(spec(scaling={"minReplicas": 2}, source={"database": {"maxConnections": 7}})),
            Case(spec(scaling={"minReplicas": 9, "maxReplicas": 9})),
        ),
    ),
    RuleCases(
        "spec.scaling",
        "self.minReplicas <= self.maxReplicas",
        good=(Case(spec(scaling={"minReplicas": 3, "maxReplicas": 3})), Case(spec(scaling={"minReplicas": 8}))),
        bad=(
            Case(spec(scaling={"minReplicas": 3, "maxReplicas": 2})),
            Case(spec(scaling={"minReplicas": 9}, source={"database": {"maxConnections": 64}})),
        ),
    ),
    RuleCases(
        "spec.scaling",
        "!(has(self.mode) && self.mode == 'Auto' && has(self.replicas))",
        good=(
            Case(spec(scaling={"mode": "Auto", "minReplicas": 0})),
            Case(spec(scaling={"replicas": 2})),
            Case(spec(scaling={"mode": "Auto", "dryRun": True})),
        ),
        bad=(Case(spec(scaling={"mode": "Auto", "replicas": 2})),),
    ),
    RuleCases(
        "spec.scaling",
        "!has(self.mode) || self.mode == 'Auto' || has(self.replicas)",
        good=(
            Case(spec(scaling={"mode": "Manual", "replicas": 0})),
            Case(spec(scaling={"mode": "External", "replicas": 1})),
            Case({}),
        ),
        bad=(Case(spec(scaling={"mode": "Manual"})), Case(spec(scaling={"mode": "External"}))),
    ),
    RuleCases(
        "spec",
        "has(self.target.topic) || has(self.target.topicTemplate) || self.source.table.preset == 'Debezium'",
        good=(Case(target(**ROUTED)), Case(spec(source={"table": {"preset": "Debezium"}}, target={"topic": None}))),
        bad=(Case(target(topic=None)),),
    ),
    RuleCases(
        "spec",
        SAME_TOPIC,
        good=(
            Case(target(topic="other"), before=spec(state="Stopped")),
            Case({}, before={}),
            Case(target(**ROUTED), before=spec(state="Stopped")),
            Case(target(**ROUTED), before=target(**ROUTED)),
        ),
        bad=(
            Case(target(topic="other"), before={}),
            Case(target(topic="other"), before=spec(state="Paused")),
            Case(spec(state="Stopped", target={"topic": "other"}), before={}),
            Case(target(**ROUTED), before={}),
        ),
    ),
    RuleCases(
        "spec",
        "self.ordering.mode == oldSelf.ordering.mode || oldSelf.state == 'Stopped'",
        good=(
            Case(spec(ordering={"mode": "None"}), before=spec(state="Stopped")),
            Case(spec(ordering={"mode": "None"}), before=spec(ordering={"mode": "None"})),
        ),
        bad=(Case(spec(ordering={"mode": "None"}), before={}),),
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
        "!has(self.retentionSeconds) || self.afterDelivery != 'Delete'",
        good=(
            Case(spec(source={"table": {"retentionSeconds": 3600, "afterDelivery": "Mark"}})),
            Case(spec(source={"table": {"retentionSeconds": 3600, "afterDelivery": "Archive"}})),
        ),
        bad=(Case(spec(source={"table": {"retentionSeconds": 3600}})),),
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
        "spec.target",
        "!has(self.clientCertificateSecretRef) || self.protocol.endsWith('SSL')",
        good=(Case(target(clientCertificateSecretRef={"name": "proof"})),),
        bad=(Case(target(protocol="PLAINTEXT", clientCertificateSecretRef={"name": "proof"})),),
    ),
    RuleCases(
        "spec.target",
        "has(self.oauth) == (has(self.saslMechanism) && self.saslMechanism == 'OAUTHBEARER')",
        good=(Case(target(**{**SASL, "saslMechanism": "OAUTHBEARER"}, oauth=OAUTH)),),
        bad=(
            Case(target(**{**SASL, "saslMechanism": "OAUTHBEARER"})),
            Case(target(**SASL, oauth=OAUTH)),
            Case(target(oauth=OAUTH)),
        ),
    ),
    RuleCases(
        "spec.target",
        "!(has(self.topic) && has(self.topicTemplate))",
        good=(Case(target(**ROUTED)),),
        bad=(Case(target(**{**ROUTED, "topic": "orders.events"})),),
    ),
    RuleCases(
        "spec.target",
        "has(self.topicTemplate) == (size(self.allowedTopics) > 0)",
        good=(Case(target(**ROUTED)), Case({})),
        bad=(Case(target(**{**ROUTED, "allowedTopics": None})), Case(target(allowedTopics=["orders.*"]))),
    ),
    RuleCases(
        "",
        "!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(name, name == self.metadata.name)",
        good=(Case(spec(dependsOn=["billing", "stock"])), Case(spec(dependsOn=[]))),
        bad=(Case(spec(dependsOn=["billing", "orders"])),),
    ),
    RuleCases(
        "spec",
        "self.isolation.tier != 'Critical' || (self.scaling.minReplicas > 0 && "
        "(!has(self.scaling.replicas) || self.scaling.replicas > 0))",
        good=(
            Case(spec(isolation={"tier": "Critical"})),
            Case(spec(isolation={"tier": "Critical"}, scaling={"replicas": 1})),
            Case(spec(scaling={"minReplicas": 0})),
        ),
        bad=(
            Case(spec(isolation={"tier": "Critical"}, scaling={"minReplicas": 0})),
            Case(spec(isolation={"tier": "Critical"}, scaling={"replicas": 0})),
        ),
    ),
    RuleCases(
        "spec",
        "self.isolation.tier != 'Critical' || (self.scaling.maxReplicas >= 2 && "
        "self.source.database.maxConnections >= 8)",
        good=(
            Case(spec(isolation={"tier": "Critical"}, scaling={"maxReplicas": 2})),
            Case(spec(scaling={"maxReplicas": 1})),
        ),
        bad=(
            Case(spec(isolation={"tier": "Critical"}, scaling={"maxReplicas": 1})),
            Case({"spec": {"isolation": {"tier": "Critical"}, "source": {"database": {"maxConnections": 7}}}}),
        ),
    ),
    RuleCases(
        "spec.ordering",
        "self.mode != 'Strict' || self.shards == 1",
        good=(Case(spec(ordering={"mode": "Strict", "shards": 1})),),
        bad=(Case(spec(ordering={"mode": "Strict"})),),
    ),
    RuleCases(
        "spec.ordering",
        "self.inFlightPerKey == 'Batch' || self.mode == 'PerKey'",
        good=(Case(spec(ordering={"inFlightPerKey": "One"})),),
        bad=(Case(spec(ordering={"inFlightPerKey": "One", "mode": "None"})),),
    ),
    RuleCases(
        "spec.poison",
        "(self.action == 'DeadLetterTopic') == has(self.deadLetterTopic)",
        good=(Case(spec(poison={"action": "DeadLetterTopic", "deadLetterTopic": "dead"})), Case({})),
        bad=(
            Case(spec(poison={"action": "DeadLetterTopic"})),
            Case(spec(poison={"deadLetterTopic": "dead"})),
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
