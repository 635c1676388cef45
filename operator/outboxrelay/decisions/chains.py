"""Relays that feed each other: the order of the stages, the lag of each, and the stage that holds up the others.

What comes before a relay is named by its ``spec.dependsOn``; relays with the same label ``outboxrelay.dev/chain``
belong together too, in the order of their ``outboxrelay.dev/chain-stage``. Both stay within a namespace.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from outboxrelay.api.names import LABEL_CHAIN, LABEL_CHAIN_STAGE
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.bodies import mapping
from outboxrelay.decisions.fleet import DEFAULT_OBJECTIVE, Health, Row, printable, row_of
from outboxrelay.decisions.precedence import circle_in, circles_in_order, connected

MISSING = "NotFound"
Why = Literal["NotDelivering", "LargestLag"]
Followers = dict[str, list[str]]
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A relay of a chain; ``row`` is None where others name it and there is none."""

    name: str
    row: Row | None
    after: tuple[str, ...]
    """Relays that dependsOn names."""
    label: str
    stage_label: str

    @property
    def state(self) -> str:
        """Reason of Ready, or NotFound."""
        return self.row.state if self.row else MISSING

    @property
    def lag(self) -> int | None:
        """Seconds."""
        return self.row.lag if self.row else None

    @property
    def objective(self) -> int:
        """maxLagSeconds."""
        return self.row.objective if self.row else DEFAULT_OBJECTIVE


@dataclass(frozen=True, slots=True)
class Holder:
    """The stage that the others wait for."""

    name: str
    why: Why
    message: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Stages in order, the members of each side by side."""

    namespace: str
    name: str
    stages: tuple[tuple[Member, ...], ...]
    holder: Holder | None
    """None where every stage delivers within its objective."""
    lag: int
    """Seconds that an event needs through all stages, along the slowest way."""
    lag_known: bool
    """False where the lag of a stage is not known: it is at least that."""
    problems: tuple[str, ...]
    """What is wrong with how it is declared, and what to do."""
    links: tuple[tuple[str, str], ...]
    """Pairs of relays of which the first comes right before the second."""

    @property
    def members(self) -> list[Member]:
        """All members in order."""
        return [member for stage in self.stages for member in stage]

    @property
    def headline(self) -> str:
        """How many relays it has and how late it is."""
        relays = len(self.members)
        lag = f"{'' if self.lag_known else 'at least '}{lag_display(self.lag)}"
        return f"{relays} {'relay' if relays == 1 else 'relays'}, lag {lag} in all"

    @property
    def held_up(self) -> str:
        """Which stage the others wait for, and why."""
        return f"held up by {self.holder.name}: {self.holder.message}" if self.holder else "no stage holds it up"


def chains(bodies: Iterable[Body], row: Callable[[Body], Row] = row_of) -> list[Chain]:
    """Every chain of at least two relays, or with the label, by namespace and name; ``row`` may remember rows."""
    spaces: dict[str, dict[str, Member]] = {}
    for body in bodies:
        found = row(body)
        spaces.setdefault(found.namespace, {})[found.name] = _member(body, found)
    every = [chain for space, members in spaces.items() for chain in _chains_of(space, members)]
    return sorted(every, key=lambda chain: (chain.namespace, chain.name))


def _chains_of(namespace: str, known: dict[str, Member]) -> list[Chain]:
    named = {name for member in known.values() for name in member.after}
    members = known | {name: Member(name, None, (), "", "") for name in named - known.keys()}
    followers: Followers = {name: [] for name in sorted(members)}
    for member in known.values():
        for name in member.after:
            followers[name].append(member.name)
    labels: dict[str, list[Member]] = {}
    for member in known.values():
        if member.label:
            labels.setdefault(member.label, []).append(member)
    together: Followers = {name: list(others) for name, others in followers.items()}
    for group in labels.values():
        _add_stages(followers, group)
        for member in group[1:]:
            together[group[0].name].append(member.name)
    groups = [[members[name] for name in group] for group in connected(together)]
    return [
        _chain(namespace, group, followers)
        for group in groups
        if len(group) > 1 or group[0].label or group[0].name in group[0].after
    ]


def _add_stages(followers: Followers, group: Sequence[Member]) -> None:
    """The members of a stage come before all of the next one."""
    stages: dict[int, list[str]] = {}
    for member in group:
        if (number := _stage(member)) is not None:
            stages.setdefault(number, []).append(member.name)
    ordered = [stages[number] for number in sorted(stages)]
    for earlier, later in pairwise(ordered):
        for name in earlier:
            followers[name] += later


def _chain(namespace: str, group: Sequence[Member], followers: Followers) -> Chain:
    members = {member.name: member for member in group}
    inner = {name: followers[name] for name in members}
    circles = circles_in_order(inner)
    level: dict[str, int] = dict.fromkeys(members, 0)
    until: dict[str, int] = dict.fromkeys(members, 0)
    most = 0
    for circle in circles:
        at = max(level[name] for name in circle)
        lag = max(until[name] for name in circle) + sum(members[name].lag or 0 for name in circle)
        most = max(most, lag)
        inside = set(circle)
        for name in circle:
            level[name] = at
            for other in inner[name]:
                if other not in inside:
                    level[other], until[other] = max(level[other], at + 1), max(until[other], lag)
    places: list[list[Member]] = [[] for _ in range(max(level.values()) + 1)]
    for name in sorted(members):
        places[level[name]].append(members[name])
    stages = tuple(tuple(place) for place in places)
    return Chain(
        namespace=namespace,
        name=" + ".join(sorted({member.label for member in group if member.label})) or _ends(stages),
        stages=stages,
        holder=_holder(stages),
        lag=most,
        lag_known=all(member.lag is not None for member in group),
        problems=tuple(_problems(namespace, stages, circles, inner)),
        links=tuple((name, other) for name in sorted(members) for other in dict.fromkeys(inner[name])),
    )


def _ends(stages: Sequence[Sequence[Member]]) -> str:
    first, last = stages[0][0].name, stages[-1][-1].name
    return first if first == last else f"{first} → {last}"


def _holder(stages: Sequence[Sequence[Member]]) -> Holder | None:
    """What does not deliver before what is slow; then the largest lag, and of equal ones the earliest."""
    members = [member for stage in stages for member in stage]
    stopped = [member for member in members if member.row is None or member.row.health in (Health.FAILING, Health.OFF)]
    late = [member for member in members if member.row is not None and member.row.late]
    found = max(stopped or late, key=lambda member: -1 if member.lag is None else member.lag, default=None)
    if found is None:
        return None
    if not stopped:
        message = f"the largest lag, {lag_display(found.lag)}; its objective is {lag_display(found.objective)}"
        return Holder(found.name, "LargestLag", message)
    message = found.row.message if found.row else "there is no such OutboxRelay"
    return Holder(found.name, "NotDelivering", f"not delivering: {found.state}: {message}")


def _problems(
    namespace: str, stages: Sequence[Sequence[Member]], circles: Sequence[Sequence[str]], followers: Followers
) -> list[str]:
    members = [member for stage in stages for member in stage]
    found = []
    for circle in circles:
        way = circle_in(sorted(circle), followers)
        if way:
            text = " → ".join([*way, way[0]])
            found.append(f"circle: {text}; take one of them out of spec.dependsOn, or change its {LABEL_CHAIN_STAGE}")
    for member in members:
        if member.row is None:
            who = ", ".join(other.name for other in members if member.name in other.after)
            found.append(
                f"missing: {who} depends on {member.name}, and namespace {namespace} has no OutboxRelay of that name;"
                " create it, or take it out of spec.dependsOn"
            )
        elif member.stage_label and _stage(member) is None:
            found.append(f"{member.name}: label {LABEL_CHAIN_STAGE} is {member.stage_label!r}; give a whole number")
        elif (
            len(members) > 1
            and member.label
            and not member.stage_label
            and not member.after
            and not followers[member.name]
        ):
            found.append(f"{member.name}: it has no place; add label {LABEL_CHAIN_STAGE}, or spec.dependsOn")
    return found


def _member(body: Mapping[str, Any], row: Row) -> Member:
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    spec = mapping(body.get("spec"))
    return Member(
        name=row.name,
        row=row,
        after=depends_on(spec),
        label=printable(str(labels.get(LABEL_CHAIN) or "")),
        stage_label=printable(str(labels.get(LABEL_CHAIN_STAGE) or "")),
    )


def depends_on(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in spec.dependsOn, each once: texts, or mappings with a name."""
    listed = spec.get("dependsOn")
    items = listed if isinstance(listed, list) else []
    names = [item.get("name") if isinstance(item, Mapping) else item for item in items]
    return tuple(dict.fromkeys(printable(name) for name in names if isinstance(name, str) and name.strip()))


def _stage(member: Member) -> int | None:
    text = member.stage_label
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
