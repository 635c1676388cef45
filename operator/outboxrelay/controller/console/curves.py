"""Points of a series as paths of an SVG: small ones beside numbers, and large ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from outboxrelay.controller.console.history import UNKNOWN


@dataclass(frozen=True, slots=True)
class Curve:
    """A line, the area under it, and what the picture is scaled to. Empty paths: nothing is known."""

    line: str
    area: str
    top: float
    """Value at the upper edge."""
    most: float
    last: float
    """UNKNOWN where the newest point is not known."""
    mark: float | None
    """Height of the value that should not be passed."""

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.line)


def curve(
    points: Sequence[float], *, width: int, height: int, columns: int, least_top: float, limit: float | None = None
) -> Curve:
    """The curve of ``points`` in a picture of ``width`` by ``height``, the largest of its points in each column.

    It is scaled to its largest point, to ``limit``, and to ``least_top``, so that a few rows do not look like a flood.
    """
    values = _thinned(points, columns)
    # UNKNOWN is less than anything known.
    most = max(values, default=UNKNOWN)
    top = max(most, least_top, limit or 0.0)
    lines, areas = [], []
    # One pixel is left above and below, for the width of the line.
    room, step = height - 2, width / max(1, columns - 1)
    first = columns - len(values)
    for start, run in _runs(values):
        spots = [
            f"{(first + start + at) * step:.1f} {1 + room - room * value / top:.1f}" for at, value in enumerate(run)
        ]
        if len(spots) == 1:
            spots.append(f"{(first + start) * step + 1:.1f} {spots[0].split()[1]}")
        lines.append("M" + "L".join(spots))
        left, right = spots[0].split()[0], spots[-1].split()[0]
        areas.append(f"M{left} {height}L" + "L".join(spots) + f"L{right} {height}Z")
    return Curve(
        line="".join(lines),
        area="".join(areas),
        top=top,
        most=most,
        last=points[-1] if len(points) else UNKNOWN,
        mark=None if limit is None else round(1 + room - room * limit / top, 1),
    )


def _thinned(points: Sequence[float], columns: int) -> list[float]:
    """At most ``columns`` values: the largest of as many neighbours as are needed; the newest columns are full."""
    size = max(1, -(-len(points) // columns))
    rest = len(points) % size
    parts = [points[:rest]] if rest else []
    parts += [points[at : at + size] for at in range(rest, len(points), size)]
    return [max(part) for part in parts]


def _runs(values: Sequence[float]) -> list[tuple[int, list[float]]]:
    """Stretches of known values, each with its place."""
    runs: list[tuple[int, list[float]]] = []
    for at, value in enumerate(values):
        if value == UNKNOWN:
            continue
        if runs and runs[-1][0] + len(runs[-1][1]) == at:
            runs[-1][1].append(value)
        else:
            runs.append((at, [value]))
    return runs
