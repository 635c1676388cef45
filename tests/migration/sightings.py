"""Who sent which record, what both sent, and whether it looks the same. Pure but for reading a message."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from tests.support.oracle.events import number_in
from tests.support.records import headers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Message

ONLY_OF_RELAYS = "sequence"
"""A header that a relay sends and Debezium does not: by it they are told apart."""


class Sighting(NamedTuple):
    """A record as a consumer saw it."""

    event_id: str
    key: str | None
    value: bytes | None
    event_type: str | None
    partition: int
    headers: frozenset[str]
    at: float
    """Unix time."""

    @property
    def by_relay(self) -> bool:
        """False: Debezium sent it."""
        return ONLY_OF_RELAYS in self.headers

    @property
    def shape(self) -> tuple[object, ...]:
        """What consumers rely on: it must not depend on the sender."""
        return self.event_id, self.key, self.value, self.event_type, self.partition


class Differing(NamedTuple):
    """An event of which the two sent something else."""

    debezium: Sighting
    relay: Sighting


def sighting(message: Message, at: float) -> Sighting:
    """A record, read."""
    headers, key = headers_of(message), message.key()
    return Sighting(
        event_id=headers.get("id", ""),
        key=None if key is None else bytes(key).decode(),
        value=message.value(),
        event_type=headers.get("eventType"),
        partition=message.partition() or 0,
        headers=frozenset(headers),
        at=at,
    )


def turns(seen: Iterable[Sighting]) -> list[list[Sighting]]:
    """What one sender sent before the other took over, turn after turn.

    ``seen`` is in the order of each partition. Raises ValueError where partitions tell of different numbers of turns,
    as when both send at once.
    """
    partitions: dict[int, list[Sighting]] = {}
    for one in seen:
        partitions.setdefault(one.partition, []).append(one)
    found = [[list(turn) for _, turn in groupby(part, lambda one: one.by_relay)] for part in partitions.values()]
    if len({len(part) for part in found}) > 1:
        raise ValueError(f"turns by partition: {', '.join(str(len(part)) for part in found)}")
    return [[one for part in together for one in part] for together in zip(*found, strict=True)]


def repeats(turns: Sequence[Sequence[Sighting]], number: int) -> int:
    """How many records of a turn were of events that an earlier turn had sent."""
    before = {one.event_id for turn in turns[:number] for one in turn}
    return sum(one.event_id in before for one in turns[number])


def silence(turns: Sequence[Sequence[Sighting]], number: int) -> float:
    """Seconds in which consumers got nothing, before a turn."""
    return min(one.at for one in turns[number]) - max(one.at for one in turns[number - 1])


def disorder(turn: Iterable[Sighting]) -> list[Sighting]:
    """Records of a turn that come before an earlier one of their key, or once more."""
    keys: dict[str | None, list[Sighting]] = {}
    for one in turn:
        keys.setdefault(one.key, []).append(one)
    steps = [(_number(sooner), _number(later), later) for found in keys.values() for sooner, later in pairwise(found)]
    return [later for before, after, later in steps if after <= before]


def both(turns: Iterable[Iterable[Sighting]]) -> tuple[int, list[Differing]]:
    """How many events both sent, and those of them that looked different."""
    relay: dict[str, Sighting] = {}
    debezium: dict[str, Sighting] = {}
    for turn in turns:
        for one in turn:
            (relay if one.by_relay else debezium).setdefault(one.event_id, one)
    pairs = [Differing(debezium[event], relay[event]) for event in debezium.keys() & relay.keys()]
    return len(pairs), [pair for pair in pairs if pair.debezium.shape != pair.relay.shape]


def header_names(seen: Iterable[Sighting], *, by_relay: bool) -> list[str]:
    """The names of all headers that this sender sent."""
    return sorted({name for one in seen if one.by_relay is by_relay for name in one.headers})


def _number(one: Sighting) -> int:
    return number_in(one.value, one.key)
