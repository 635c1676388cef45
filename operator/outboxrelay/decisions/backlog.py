"""How many rows wait and for how long, in numbers that people read and that do not change with every row."""

from dataclasses import dataclass

COUNT_LIMIT = 100_000
"""Counting stops here: the number beyond it changes nothing that is done."""


def rounded(number: float) -> int:
    """``number`` with two significant digits."""
    whole = round(number)
    digits = len(str(abs(whole)))
    return whole if digits <= 2 else round(whole, 2 - digits)


def rows_display(rows: int, exact: bool) -> str:
    """480, 1.2k, 50k; >100k where counting stopped at its bound."""
    if not exact:
        return f">{_short(COUNT_LIMIT)}"
    return quantity_display(rows)


def quantity_display(number: float) -> str:
    """480, 1.2k, 50k, 3.4M."""
    return _short(rounded(number))


def lag_display(seconds: float | None) -> str:
    """0s, 45s, 2m10s, 3h05m, 2d4h; "-" where it is not known."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d{hours_left}h"
    if hours:
        return f"{hours}h{minutes_left:02d}m"
    return f"{minutes}m{seconds_left:02d}s" if minutes else f"{whole}s"


def _short(number: int) -> str:
    if number < 1000:
        return str(number)
    if number >= 1_000_000:
        return f"{number / 1_000_000:.1f}".removesuffix(".0") + "M"
    thousands = number / 1000
    return f"{thousands:.1f}k" if thousands < 10 and number % 1000 else f"{round(thousands)}k"


@dataclass(frozen=True, slots=True)
class Progress:
    """What was last known of the rows' movement."""

    at: float
    """When rows were last seen to move, or there were none, or none could be expected to."""
    delivered: int | None = None
    """Rows that all pods together have delivered, as they count."""
    waiting: int | None = None
    moved_at: float | None = None
    """When rows were last seen to leave the table."""


def progressed(
    before: Progress | None,
    *,
    now: float,
    waiting: int | None,
    delivered: int | None,
    counted_at: float | None = None,
    delivered_at: float | None = None,
    excused: bool = False,
) -> Progress:
    """The movement after one more look. Rows that other rows replaced still count as delivered by the pods.

    ``counted_at`` and ``delivered_at`` say when rows were counted and when pods last delivered one, where that is known
    better than by the time of the look. ``excused`` says that no movement can be expected: something else is known to
    be wrong, or nothing is asked for.
    """
    if before is None:
        return Progress(now, delivered, waiting)
    counted, told = now if counted_at is None else counted_at, now if delivered_at is None else delivered_at
    moved: list[float] = [] if before.moved_at is None else [before.moved_at]
    if waiting is not None and before.waiting is not None and waiting < before.waiting:
        moved.append(counted)
    if delivered is not None and before.delivered is not None and delivered != before.delivered and delivered > 0:
        moved.append(told)
    moments = [before.at, *moved, *([now] if excused else []), *([counted] if waiting == 0 else [])]
    return Progress(
        at=min(now, max(moments)),
        delivered=before.delivered if delivered is None else delivered,
        waiting=before.waiting if waiting is None else waiting,
        moved_at=min(now, max(moved)) if moved else None,
    )
