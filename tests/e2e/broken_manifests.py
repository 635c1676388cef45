"""Manifests that nobody should write: refused at the door, or taken and refused by the operator in the status."""

from typing import Any, NamedTuple

from tests.support.crd_rules import CA, Changes, database, minimal, spec, target
from tests.support.merging import merged

INJECTION = "'; drop table x; --"


class Broken(NamedTuple):
    """A manifest and what must be said of it."""

    name: str
    changes: Changes
    words: tuple[str, ...]

    def manifest(self, **base: Any) -> dict[str, Any]:
        """The manifest, the changes laid over the shortest one."""
        return merged(merged(minimal(), base), self.changes)


def table(**changes: Any) -> Changes:
    """Changes below spec.source.table."""
    return spec(source={"table": changes})


def read(**changes: Any) -> Changes:
    """Changes below spec.source.read."""
    return spec(source={"read": changes})


REFUSED = (
    Broken("typo in a section", {"spec": {"sorce": {}}}, ("sorce",)),
    Broken("typo in a field", target(bootstrapServer=["kafka:9092"]), ("bootstrapServer",)),
    Broken("typo deep inside", read(batchsize=10), ("batchsize",)),
    Broken("unknown column", table(columns={"payLoad": "x"}), ("payLoad",)),
    Broken("no spec", {"spec": None}, ("spec",)),
    Broken("no source", spec(source=None), ("spec.source",)),
    Broken("no target", spec(target=None), ("spec.target",)),
    Broken("no topic", target(topic=None), ("target needs topic or topicTemplate",)),
    Broken("text for a number", read(batchSize="5000"), ("spec.source.read.batchSize",)),
    Broken("number for text", target(topic=7), ("spec.target.topic",)),
    Broken("text for a list", target(bootstrapServers="kafka:9092"), ("spec.target.bootstrapServers",)),
    Broken("list for a mapping", {"spec": {"source": []}}, ("spec.source",)),
    Broken("fraction", spec(scaling={"replicas": 1.5}), ("spec.scaling.replicas",)),
    Broken("huge number", read(batchSize=10**15), ("spec.source.read.batchSize",)),
    Broken("number beyond 64 bits", spec(scaling={"replicas": 10**30}), ("replicas",)),
    Broken("negative number", spec(scaling={"replicas": -1}), ("spec.scaling.replicas",)),
    Broken("no shards", spec(ordering={"shards": 0}), ("spec.ordering.shards",)),
    Broken("port out of range", database(uriSecretRef=None, host="db", port=70000), ("spec.source.database.port",)),
    Broken("unknown state", spec(state="Sleeping"), ("spec.state",)),
    Broken("unknown protocol", target(protocol="HTTP"), ("spec.target.protocol",)),
    Broken("no bootstrap server", target(bootstrapServers=[]), ("spec.target.bootstrapServers",)),
    Broken("server without a port", target(bootstrapServers=["kafka"]), ("spec.target.bootstrapServers[0]",)),
    Broken("server with a path", target(bootstrapServers=["kafka:9092/../x"]), ("spec.target.bootstrapServers[0]",)),
    Broken("hostile topic", target(topic=INJECTION), ("spec.target.topic",)),
    Broken("hostile Secret", database(uriSecretRef={"name": "../../etc", "key": "uri"}), ("uriSecretRef.name",)),
    Broken("hostile key", database(uriSecretRef={"name": "db", "key": "../passwd"}), ("uriSecretRef.key",)),
    Broken("dots for a key", database(uriSecretRef={"name": "db", "key": ".."}), ("uriSecretRef.key",)),
    Broken("hostile host", database(uriSecretRef=None, host="db;rm -rf /"), ("spec.source.database.host",)),
    Broken("long table", table(name="x" * 64), ("spec.source.table.name",)),
    Broken("null byte in a table", table(name="out\0box"), ("spec.source.table.name",)),
    Broken("hostile name", {"metadata": {"name": "../../etc"}}, ("resource name", "../../etc")),
    Broken("long name", {"metadata": {"name": "a" * 53}}, ("metadata.name",)),
    Broken("two ways to the database", database(host="db"), ("spec.source.database", "exactly one")),
    Broken("CA without TLS", target(protocol="PLAINTEXT", caSecretRef=CA), ("spec.target", "caSecretRef")),
    Broken("more pods than shards", spec(scaling={"replicas": 17}), ("scaling.replicas",)),
    Broken("long label", spec(template={"labels": {"a": "x" * 64}}), ("spec.template.labels.a",)),
)

TAKEN = (
    Broken("resources", spec(template={"resources": {"limits": {"cpu": "lots"}}}), ("spec.template", "resources")),
    Broken("nonsense", spec(template={"resources": {"limit": {"cpu": "1"}}}), ("spec.template", "limit")),
    Broken("affinity", spec(template={"affinity": {"nodeAfinity": {}}}), ("spec.template", "nodeAfinity")),
    Broken(
        "tolerations",
        spec(template={"tolerations": [{"operator": "Maybe"}]}),
        ("spec.template.tolerations[0].operator",),
    ),
    Broken("label", spec(template={"labels": {"a b": "c"}}), ("spec.template", "labels")),
    Broken("label-value", spec(template={"labels": {"a": "-"}}), ("spec.template", "labels")),
    Broken("injection", table(name=INJECTION), (INJECTION,)),
    Broken("schema", table(schema=INJECTION), (INJECTION,)),
    Broken("column", table(columns={"payload": INJECTION}), (INJECTION,)),
)
"""Each name is the name of an OutboxRelay too."""
