"""The examples as they are tried: which files each has, what is written into its table, and what must arrive."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path("examples")
INSERT = "INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ($1, 'OrderPlaced', '{\"total\": 12}')"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One event that must arrive under the key that was written."""

    topic: str = "orders.events"
    value: dict[str, Any] = field(default_factory=lambda: {"total": 12})
    headers: dict[str, str] = field(default_factory=lambda: {"type": "OrderPlaced"})
    """These at least."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A manifest, and what belongs to it."""

    sql: tuple[str, ...] = ("outbox.sql",)
    """Files that make the tables, in each database."""
    beside: tuple[str, ...] = ()
    """Further files that belong to it."""
    parts: tuple[tuple[str, ...], ...] = ()
    """Arguments of further calls of `outboxrelay sql`, which the manifest's comment names."""
    inserts: tuple[str, ...] = (INSERT,)
    """Statements for the first relay's table; $1 is the key."""
    arrivals: tuple[Arrival, ...] = (Arrival(),)
    topics: tuple[str, ...] = ()
    """Topics in which nothing must arrive."""


EXAMPLES: dict[str, Example] = {
    "orders.yaml": Example(),
    "relay.yaml": Example(beside=("credentials/orders-db/uri",)),
    "debezium.yaml": Example(
        sql=("debezium.sql",),
        inserts=(
            (
                "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                "VALUES ('order', $1, 'OrderPlaced', '{\"total\": 12}')"
            ),
        ),
        arrivals=(Arrival(topic="outbox.event.order", headers={}),),
    ),
    "routing.yaml": Example(
        sql=("routing.sql",),
        inserts=tuple(
            "INSERT INTO outbox (aggregate_id, event_type, payload, region, tenant) "
            f"VALUES ($1, 'OrderPlaced', '{{\"total\": 12}}', '{region}', 'acme')"
            for region in ("moon", "eu", "us")
        ),
        arrivals=(
            Arrival(topic="orders.eu", headers={"tenant": "acme"}),
            Arrival(topic="orders.us", headers={"tenant": "acme"}),
        ),
        topics=("orders.moon",),
    ),
    "cloudevents.yaml": Example(
        arrivals=(
            Arrival(
                headers={
                    "ce_specversion": "1.0",
                    "ce_source": "/shop/orders",
                    "ce_type": "OrderPlaced",
                    "content-type": "application/json",
                }
            ),
        )
    ),
    "critical.yaml": Example(arrivals=(Arrival(topic="payments.events"),)),
    "tls-scram.yaml": Example(),
    "partitioned.yaml": Example(sql=("partitioned.sql",), parts=(("--part", "autovacuum"),)),
    "chain.yaml": Example(
        sql=("outbox.sql", "chain.sql"),
        beside=("chain_billing.py",),
        parts=(("--part", "inbox"), ("--table", "outbox", "--part", "publish")),
        arrivals=(Arrival(), Arrival(topic="billing.events", value={}, headers={"type": "InvoiceWritten"})),
    ),
    "autoscaling.yaml": Example(),
    "hpa.yaml": Example(),
    "keda-scaledobject.yaml": Example(),
}


def objects(name: str) -> list[dict[str, Any]]:
    """The objects of a manifest."""
    return [item for item in yaml.safe_load_all((ROOT / name).read_text()) if item]


def files() -> set[str]:
    """Every file of examples/ that is tried, by its path in it."""
    return {name for manifest, each in EXAMPLES.items() for name in (manifest, *each.sql, *each.beside)}
