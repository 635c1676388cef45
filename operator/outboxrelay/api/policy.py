"""spec.ordering, spec.retry, spec.poison, spec.flow: how the relay behaves when not everything is well."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from outboxrelay.api.model import ApiModel
from outboxrelay.api.target import TopicName
from outboxrelay.api.validation import Rule, check_rules, rules

MAX_SHARDS = 256

ORDERING_RULES = (
    Rule("self.mode != 'Strict' || self.shards == 1", "mode Strict keeps one order for all rows: it needs shards: 1"),
    Rule("self.inFlightPerKey == 'Batch' || self.mode == 'PerKey'", "inFlightPerKey: One belongs to mode PerKey"),
)


class Ordering(ApiModel):
    """In which order events arrive, and how far the work can be shared."""

    model_config = ConfigDict(json_schema_extra=rules(*ORDERING_RULES))

    mode: Literal["PerKey", "Strict", "None"] = "PerKey"
    """PerKey: events of one key arrive in the order of their row ids. Strict: all events do, in one partition.
    None: no order; any pod takes any row (FOR UPDATE SKIP LOCKED)."""
    in_flight_per_key: Literal["Batch", "One"] = "Batch"
    """Batch: rows of one key travel together. One: a row leaves when the one before it in its key has arrived, so that
    a row that the brokers refuse is never overtaken; slower where keys repeat."""
    shards: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SHARDS,
            json_schema_extra=rules(Rule("self == oldSelf", "shards is immutable: it decides who owns which key")),
        ),
    ] = 16
    """Number of slices of the key space, the upper bound of parallelism. Immutable."""

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules(
            (ORDERING_RULES[0], self.mode != "Strict" or self.shards == 1),
            (ORDERING_RULES[1], self.in_flight_per_key == "Batch" or self.mode == "PerKey"),
        )


RETRY_RULES = (
    Rule(
        "self.initialBackoffMilliseconds <= self.maxBackoffSeconds * 1000",
        "initialBackoffMilliseconds must not exceed maxBackoffSeconds",
    ),
)


class Retry(ApiModel):
    """How long the relay waits before it tries a broker or a database again; each wait is jittered."""

    model_config = ConfigDict(json_schema_extra=rules(*RETRY_RULES))

    initial_backoff_milliseconds: Annotated[int, Field(ge=10, le=600000)] = 200
    """Milliseconds of the first wait."""
    max_backoff_seconds: Annotated[int, Field(ge=1, le=600)] = 15
    """Seconds of the longest wait."""
    multiplier_percent: Annotated[int, Field(ge=110, le=1000)] = 200
    """Each wait in percent of the one before it."""

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules((RETRY_RULES[0], self.initial_backoff_milliseconds <= self.max_backoff_seconds * 1000))


POISON_RULES = (
    Rule(
        "(self.action == 'DeadLetterTopic') == has(self.deadLetterTopic)",
        "action DeadLetterTopic needs deadLetterTopic, and no other action takes one",
    ),
)


class Poison(ApiModel):
    """What happens to a row that cannot be sent while everything around it can."""

    model_config = ConfigDict(json_schema_extra=rules(*POISON_RULES))

    action: Literal["HoldKey", "Quarantine", "DeadLetterTopic"] = "HoldKey"
    """HoldKey: later rows of its key wait for it, everything else flows. Quarantine: after maxAttempts the row is
    moved, whole, to outboxrelay.quarantine, and its key goes on. DeadLetterTopic: after maxAttempts it is sent to
    deadLetterTopic, and its key goes on."""
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    """Attempts after which a row is moved aside; also how often a row may end the process
    before it counts as poison."""
    dead_letter_topic: TopicName | None = None
    """Topic for rows that cannot be sent; used with action DeadLetterTopic. It must exist."""
    max_quarantined_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Rows in quarantine beyond which no more are moved there: their keys are held instead, and it is reported."""

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        wanted, given = self.action == "DeadLetterTopic", self.dead_letter_topic is not None
        return check_rules((POISON_RULES[0], wanted == given))


class Flow(ApiModel):
    """How fast the relay may go, so that recovery does not knock over what comes after it. Limits hold for each pod."""

    max_rows_per_second: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Rows per second that a pod sends at most. Default: as fast as the brokers confirm."""
    max_bytes_per_second: Annotated[int, Field(ge=1024, le=10_000_000_000)] | None = None
    """Bytes of keys and values per second that a pod sends at most."""
    recovery_start_percent: Annotated[int, Field(ge=1, le=100)] = 25
    """After an outage sending starts at that share of the last good rate. 100 = no ramp."""
    recovery_ramp_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """Seconds from there back to the last good rate; beyond it the rate is free again. 0 = no ramp."""
