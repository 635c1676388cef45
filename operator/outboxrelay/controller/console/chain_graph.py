"""A chain as a picture: a box for each relay, stages in a row or one below the other, and lines between them."""

from dataclasses import dataclass

from outboxrelay.controller.console.rendering import mark_of
from outboxrelay.decisions.chains import Chain, Member

MOST_BOXES = 80
MOST_LINES = 240
"""A picture with more of them is no picture; the table says it all."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes in pixels, along the chain and across it."""

    width: int
    height: int
    between: int
    """Of two stages: room for the lines."""
    beside: int
    """Of two boxes of a stage."""
    letters: int
    """Of a name that fit."""
    down: bool
    """Whether stages stand one below the other."""


WIDE = Shape(width=196, height=64, between=64, beside=24, letters=24, down=False)
TALL = Shape(width=164, height=64, between=52, beside=12, letters=20, down=True)
EDGE = 20
"""Around the whole: for thick borders, and for words above a box."""


@dataclass(frozen=True, slots=True)
class Box:
    """A relay."""

    member: Member
    name: str
    """Cut to fit."""
    mark: str
    holds: bool
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The picture."""

    shape: Shape
    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    """Paths."""


def graph(chain: Chain, shape: Shape) -> Graph | None:
    """The picture of a chain; None where it would have too much in it."""
    if len(chain.members) > MOST_BOXES or len(chain.links) > MOST_LINES:
        return None
    widest = max(len(stage) for stage in chain.stages)
    across, along = (shape.width, shape.height) if shape.down else (shape.height, shape.width)
    breadth = widest * (across + shape.beside) - shape.beside
    boxes = []
    for number, stage in enumerate(chain.stages):
        start = (breadth - len(stage) * (across + shape.beside) + shape.beside) // 2
        for place, member in enumerate(stage):
            far, side = EDGE + number * (along + shape.between), EDGE + start + place * (across + shape.beside)
            x, y = (side, far) if shape.down else (far, side)
            holds = chain.holder is not None and chain.holder.name == member.name
            boxes.append(Box(member, _cut(member.name, shape.letters), mark_of(member.row), holds, x, y))
    length = len(chain.stages) * (along + shape.between) - shape.between
    width, height = (breadth, length) if shape.down else (length, breadth)
    by_name = {box.member.name: box for box in boxes}
    lines = [_line(by_name[one], by_name[other], shape) for one, other in chain.links if one != other]
    return Graph(shape, width + 2 * EDGE, height + 2 * EDGE, tuple(boxes), tuple(lines))


def _line(one: Box, other: Box, shape: Shape) -> str:
    """From the end of one box to the beginning of another; the arrow's head takes the last pixels."""
    if shape.down:
        x1, y1, x2, y2 = one.x + shape.width // 2, one.y + shape.height, other.x + shape.width // 2, other.y - 6
        half = (y2 - y1) // 2
        return f"M{x1} {y1}C{x1} {y1 + half} {x2} {y2 - half} {x2} {y2}"
    x1, y1, x2, y2 = one.x + shape.width, one.y + shape.height // 2, other.x - 6, other.y + shape.height // 2
    half = (x2 - x1) // 2
    return f"M{x1} {y1}C{x1 + half} {y1} {x2 - half} {y2} {x2} {y2}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
