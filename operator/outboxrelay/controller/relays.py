"""The OutboxRelays that exist, as the watch delivered them, and what a list repaired."""

from collections.abc import Mapping
from typing import Any

from outboxrelay.decisions.blindness import Key, Version

Body = Mapping[str, Any]


def key_of(body: Body) -> Key:
    """Namespace and name."""
    metadata = body["metadata"]
    return metadata["namespace"], metadata["name"]


def version_of(body: Body) -> Version:
    """uid and generation."""
    metadata = body["metadata"]
    return metadata["uid"], metadata.get("generation", 0)


def essence_of(body: Body) -> object:
    """What of an OutboxRelay is looked at: everything but its status, which is the operator's own."""
    kept = ("deletionTimestamp", "labels", "annotations")
    return version_of(body), [body["metadata"].get(field) for field in kept]


def is_new(before: Body | None, body: Body) -> bool:
    """Whether people changed something since ``before``: the spec, or a label or annotation."""
    return before is None or essence_of(before) != essence_of(body)


class Relays:
    """Bodies by key, and the versions that the watch delivered."""

    def __init__(self) -> None:
        self._bodies: dict[Key, Body] = {}
        self._delivered: dict[Key, Version] = {}

    def is_news(self, event: str | None, body: Body) -> bool:
        """Whether an event, not yet taken, says more than that the operator itself has written a status."""
        return event in (None, "DELETED") or is_new(self.get(key_of(body)), body)

    def deliver(self, event: str | None, body: Body) -> Key:
        """Take an event of the watch; gives the key that is to be looked at."""
        key, version = key_of(body), version_of(body)
        if event == "DELETED":
            self._forget(key, version[0])
            return key
        self._delivered[key] = version
        self._store(key, body)
        return key

    def repair(self, body: Body) -> Key:
        """Take an object that the watch missed."""
        key = key_of(body)
        self._store(key, body)
        return key

    def remove(self, key: Key) -> None:
        """Forget a relay that a list shows to be gone."""
        self._bodies.pop(key, None)
        self._delivered.pop(key, None)

    def get(self, key: Key) -> Body | None:
        """The newest body known."""
        return self._bodies.get(key)

    def __len__(self) -> int:
        """How many are known."""
        return len(self._bodies)

    def keys(self) -> list[Key]:
        """Every relay known."""
        return list(self._bodies)

    def bodies(self) -> list[Body]:
        """Every body known."""
        return list(self._bodies.values())

    def delivered(self) -> dict[Key, Version]:
        """What the watch delivered."""
        return dict(self._delivered)

    def _store(self, key: Key, body: Body) -> None:
        known = self._bodies.get(key)
        if known is not None:
            (old_uid, old_generation), (uid, generation) = version_of(known), version_of(body)
            if old_uid == uid and generation < old_generation:
                return
        # Who wrote which field is of no use here, and half of the object.
        metadata = {field: value for field, value in body["metadata"].items() if field != "managedFields"}
        self._bodies[key] = {**body, "metadata": metadata}

    def _forget(self, key: Key, uid: str) -> None:
        known = self._bodies.get(key)
        if known is not None and version_of(known)[0] == uid:
            del self._bodies[key]
        if self._delivered.get(key, ("", 0))[0] == uid:
            del self._delivered[key]
