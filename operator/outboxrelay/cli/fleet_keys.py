"""What a key does to the picture of outboxrelay top, and which keys bytes from a terminal are. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from outboxrelay.decisions.fleet import Sort

ESCAPE: Final = "\x1b"
SEQUENCES: Final = {
    "[A": "up",
    "OA": "up",
    "[B": "down",
    "OB": "down",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "OH": "home",
    "[1~": "home",
    "[F": "end",
    "OF": "end",
    "[4~": "end",
}
MOVES: Final = {"up": "up", "k": "up", "down": "down", "j": "down", "g": "home", "G": "end", " ": "page down"}
MAX_TEXT: Final = 100


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of the fleet."""

    sort: Sort
    reverse: bool = False
    failing: bool = False
    text: str = ""
    editing: str | None = None
    """While the filter is typed, what it was before."""
    first: int = 0
    """Rows above the first one on the screen."""


def pressed(view: View, key: str, *, rows: int, page: int) -> View | None:
    """The picture after ``key``, where ``rows`` are chosen and ``page`` of them fit; None: the end."""
    if view.editing is not None:
        return _typed(view, key, view.editing)
    move = MOVES.get(key, key)
    first = {"up": view.first - 1, "down": view.first + 1, "page up": view.first - page}.get(move)
    first = {"page down": view.first + page, "home": 0, "end": rows}.get(move, first)
    if first is not None:
        return scrolled(replace(view, first=first), rows=rows, page=page)
    if key in ("q", "\x04"):
        return None
    changed = {
        "s": replace(view, sort=_after(view.sort), first=0),
        "r": replace(view, reverse=not view.reverse, first=0),
        "f": replace(view, failing=not view.failing, first=0),
        "/": replace(view, editing=view.text, first=0),
        ESCAPE: replace(view, text="", failing=False, first=0),
    }
    return changed.get(key, view)


def scrolled(view: View, *, rows: int, page: int) -> View:
    """``view`` with the last page filled, where there are enough rows."""
    return replace(view, first=max(0, min(view.first, rows - page)))


def keys(received: bytes) -> tuple[list[str], bytes]:
    """The keys in what a terminal sent, and the beginning of one that is not whole yet."""
    try:
        text, rest = received.decode(), b""
    except UnicodeDecodeError as error:
        # The beginning of a character waits for its end; what is none at all is left out.
        whole = error.end >= len(received) and error.reason == "unexpected end of data"
        text, rest = received[: error.start].decode(), received[error.start :] if whole else b""
    found: list[str] = []
    while text:
        if text[0] != ESCAPE or len(text) == 1:
            found.append(text[0])
            text = text[1:]
            continue
        length = _sequence(text)
        if length is None:
            return found, text.encode() + rest
        found.append(SEQUENCES.get(text[1:length], ""))
        text = text[length:]
    return [key for key in found if key], rest


def _sequence(text: str) -> int | None:
    """Characters of the sequence that ``text`` begins with; None where its end is missing."""
    if text[1] == "O":
        return 3 if len(text) > 2 else None
    if text[1] != "[":
        return 2
    for at, char in enumerate(text[2:], start=2):
        if "@" <= char <= "~":
            return at + 1
    return None if len(text) < 32 else len(text)


def _typed(view: View, key: str, before: str) -> View | None:
    if key in ("\r", "\n"):
        return replace(view, editing=None)
    if key == ESCAPE:
        return replace(view, text=before, editing=None)
    if key in ("\x7f", "\b"):
        return replace(view, text=view.text[:-1], first=0)
    if key == "\x15":
        return replace(view, text="", first=0)
    if len(key) == 1 and key.isprintable() and len(view.text) < MAX_TEXT:
        return replace(view, text=view.text + key, first=0)
    return view


def _after(sort: Sort) -> Sort:
    order = list(Sort)
    return order[(order.index(sort) + 1) % len(order)]
