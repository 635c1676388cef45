"""The incidents of every relay that this leader looks after: reduced at each look, grouped, counted and told.

status.incidents is where they live: a new leader goes on from there, and tells nobody anew what was told already.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from outboxrelay.api.incidents import IncidentStatus, IncidentType
from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.status import ConditionStatus
from outboxrelay.controller.clock import Clock
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Facts
from outboxrelay.decisions.incidents.detect import observe
from outboxrelay.decisions.incidents.group import Parents, adopt, is_shared, join, leave
from outboxrelay.decisions.incidents.kinds import KINDS, kind_of
from outboxrelay.decisions.incidents.notices import Notice, notice_of
from outboxrelay.decisions.incidents.reduce import Change, Incident, Incidents, ended, incident_id, reduce
from outboxrelay.decisions.incidents.status import as_status, from_status, runbook_of
from outboxrelay.decisions.transitions import MESSAGE_LIMIT, News

TICK_SHARE = 0.8
"""A look counts as one more only where at least this share of the probe interval has passed."""
GATHER_SECONDS = 3.0
"""An incident that others may share is told when for this time nobody joined it, so that it says how many have it."""


class Teller(Protocol):
    """Tells people, and returns at once."""

    def tell(self, notice: Notice, *, wait: float = 0.0) -> None:
        """Tell of a change."""

    def renew(self, notice: Notice, *, wait: float = 0.0) -> None:
        """Say more of a change that was told, or is about to be and may wait that much longer."""

    def adopt(self, notice: Notice) -> None:
        """Go on telling of an incident that was told already."""


class Tally(Protocol):
    """Counts incidents."""

    def opened(self, kind: str, severity: str, seconds: float | None) -> None:
        """One was opened, ``seconds`` after its start (None where it came back)."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found."""

    incidents: list[IncidentStatus]
    news: tuple[News, ...]

    @property
    def open(self) -> int:
        """How many are open."""
        return sum(1 for item in self.incidents if item.state == "Open")


@dataclass(slots=True)
class _Kept:
    uid: str
    incidents: Incidents
    scopes: frozenset[str] = field(default_factory=frozenset)


class IncidentKeeper:
    """Keeps them."""

    def __init__(self, teller: Teller, tally: Tally, *, clock: Clock, interval: float, runbooks: str) -> None:
        self._teller = teller
        self._tally = tally
        self._clock = clock
        self._interval = interval
        self._runbooks = runbooks
        self._kept: dict[Key, _Kept] = {}
        self._own: dict[str, Incident] = {}
        """The operator's own open incidents, by id."""
        self._parents = Parents()

    def knows(self, key: Key, uid: str) -> bool:
        """Whether the relay was adopted already."""
        known = self._kept.get(key)
        return known is not None and known.uid == uid

    def adopt(self, key: Key, uid: str, items: Iterable[IncidentStatus]) -> None:
        """Go on from what is written in a relay's status; what is known of the relay already wins."""
        if self.knows(key, uid):
            return
        self.forget(key)
        incidents = Incidents(from_status(items))
        self._kept[key] = _Kept(uid, incidents)
        self._parents = adopt(self._parents, key, incidents.open(), self._now())
        for item in incidents.open():
            self._teller.adopt(self._notice(key, item))

    def look(
        self,
        identity: RelayIdentity,
        facts: Facts,
        conditions: Sequence[ConditionStatus],
        before: Iterable[IncidentStatus],
    ) -> Look:
        """The relay's incidents after one more look; ``before`` is its status where it is not known yet."""
        key, now = (identity.namespace, identity.name), self._now()
        self.adopt(key, identity.uid, before)
        kept = self._kept[key]
        kept.scopes = frozenset(filter(None, (facts.source_scope, facts.target_scope)))
        observation = observe(facts, conditions)
        incidents, changes = reduce(
            kept.incidents, observation, now, owner=identity.uid, tick=TICK_SHARE * self._interval
        )
        news: list[News] = []
        for change in changes:
            changed, told = self._changed(key, change, now)
            incidents = _with(incidents, changed)
            news += told
        kept.incidents = incidents
        return Look(as_status(incidents.items, self._runbooks), tuple(news))

    def forget(self, key: Key) -> None:
        """End the incidents of a relay that is gone: nobody else will."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        now = self._now()
        for change in ended(kept.incidents, now)[1]:
            self._changed(key, change, now)

    def open(self) -> Iterator[tuple[Key | None, Incident]]:
        """Every open incident: those of every relay, and the operator's own, which belong to none."""
        for item in self._own.values():
            yield None, item
        for key, kept in self._kept.items():
            for item in kept.incidents.open():
                yield key, item

    def took_over(self, holder: str, since: datetime) -> Notice:
        """Tell that this process leads because ``holder`` failed; gives the notice, to be resolved."""
        kind = KINDS[IncidentType.OPERATOR_FAILOVER]
        incident = Incident(
            id=incident_id(kind.type, holder, "", since),
            type=str(kind.type),
            scope="",
            severity=str(kind.severity),
            started_at=since,
            detected_at=max(since, self._now()),
            reason="LeaseTaken",
            message=f"the leader before was {holder}; relays went on delivering meanwhile"[:MESSAGE_LIMIT],
        )
        notice = notice_of(incident, (), self._runbooks)
        self._tally.opened(incident.type, incident.severity, (incident.detected_at - since).total_seconds())
        self._own[incident.id] = incident
        self._teller.tell(notice)
        return notice

    def resolved(self, notice: Notice) -> None:
        """Tell that an incident of the operator is over."""
        self._own.pop(notice.incident.id, None)
        self._teller.tell(replace(notice, incident=replace(notice.incident, resolved_at=self._now())))

    def _changed(self, key: Key, change: Change, now: datetime) -> tuple[Incident, list[News]]:
        """What a change means for others: the incident with its parent, and the Events that it is worth."""
        if change.opened:
            return self._opened(key, change.incident, now)
        return change.incident, self._closed(key, change.incident, now)

    def _opened(self, key: Key, item: Incident, now: datetime) -> tuple[Incident, list[News]]:
        seconds = (item.detected_at - item.started_at).total_seconds() if item.occurrences == 1 else None
        self._tally.opened(item.type, item.severity, seconds)
        if not is_shared(item):
            self._teller.tell(self._notice(key, item))
            return item, [self._event(item)]
        self._parents, parent, new = join(self._parents, key, item, now)
        item = replace(item, parent=parent.incident.id)
        notice = self._notice(key, item)
        if new:
            self._teller.tell(notice, wait=GATHER_SECONDS if self._used_by_others(key, item.scope) else 0.0)
        else:
            self._teller.renew(notice, wait=GATHER_SECONDS)
        # Two hundred relays on one broker say it once in an Event; each has its condition, and its mark in status.
        return item, [self._event(item)] if new else []

    def _closed(self, key: Key, item: Incident, now: datetime) -> list[News]:
        if item.parent is None:
            self._teller.tell(self._notice(key, item))
            return [self._event(item)]
        self._parents, parent = leave(self._parents, key, item, now)
        if parent is None:
            return []
        notice = notice_of(parent.incident, parent.relays(), self._runbooks)
        if parent.incident.open:
            self._teller.renew(notice)
            return []
        self._teller.tell(notice)
        return [self._event(item)]

    def _notice(self, key: Key, item: Incident) -> Notice:
        """What is told of an incident: the parent where it has one."""
        parent = self._parents.by_id.get(item.parent or "")
        if parent is None:
            return notice_of(item, (key,), self._runbooks)
        return notice_of(parent.incident, parent.relays(), self._runbooks)

    def _used_by_others(self, key: Key, scope: str) -> bool:
        hosts = set(scope.split(","))
        others = (kept.scopes for name, kept in self._kept.items() if name != key)
        return any(hosts.intersection(place.split(",")) for scopes in others for place in scopes)

    def _event(self, item: Incident) -> News:
        kind = kind_of(item.type)
        title = kind.title if kind else item.type
        if not item.open:
            return News("Normal", "IncidentResolved", f"{item.type}: {title}: over")
        again = f" (for the {item.occurrences}. time)" if item.occurrences > 1 else ""
        page = runbook_of(self._runbooks, item.type)
        text = f"{item.type} ({item.severity}){again}: {item.message}"
        return News("Warning", "IncidentOpened", f"{text[: MESSAGE_LIMIT - len(page) - 3]}; {page}")

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)


def _with(incidents: Incidents, changed: Incident) -> Incidents:
    items = tuple(changed if item.id == changed.id else item for item in incidents.items)
    return replace(incidents, items=items)
