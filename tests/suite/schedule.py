"""What may begin now: values in, names out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .part import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .part import Part


def to_start(parts: Sequence[Part], ended: Mapping[str, Outcome], running: Collection[str]) -> list[Part]:
    """The parts that can begin, in their order.

    After a failure nothing begins any more but what tidies up; what runs goes on, so that its failures are told too.
    """
    waiting = [part for part in parts if part.name not in ended and part.name not in running]
    has_failed = any(outcome is not Outcome.OK for outcome in ended.values())
    return [part for part in waiting if _may_start(part, ended, running, has_failed)]


def never(parts: Sequence[Part], ended: Mapping[str, Outcome], running: Collection[str]) -> list[Part]:
    """The parts that wait for nothing any more and still cannot begin, once nothing runs or can begin."""
    if running or to_start(parts, ended, running):
        return []
    return [part for part in parts if part.name not in ended]


def check(parts: Sequence[Part]) -> None:
    """Raises ValueError where a name stands twice, or a part waits for one that does not come before it."""
    known: set[str] = set()
    for part in parts:
        if part.name in known:
            raise ValueError(f"two parts are called {part.name!r}")
        if unknown := set(part.after) - known:
            raise ValueError(f"{part.name!r} waits for {sorted(unknown)}, which do not come before it")
        known.add(part.name)


def _may_start(part: Part, ended: Mapping[str, Outcome], running: Collection[str], has_failed: bool) -> bool:
    if not part.tidies_up:
        return not has_failed and all(ended.get(name) is Outcome.OK for name in part.after)
    # After a failure, what did not begin will not.
    is_settled = all(name in ended or (has_failed and name not in running) for name in part.after)
    return is_settled and any(ended.get(name, Outcome.NOT_RUN) is not Outcome.NOT_RUN for name in part.after)
