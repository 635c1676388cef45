"""Lines with colours, for terminals. Pure.

A library is not used for it: structlog loads rich wherever it is installed, which costs each relay pod 5.5 MB.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

RESET: Final = "\x1b[0m"
CODES: Final[Mapping[str, str]] = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "bold red": "1;31",
    "green": "32",
    "yellow": "33",
}


class Span(NamedTuple):
    """Text of one style."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a terminal."""

    spans: tuple[Span, ...] = ()

    @property
    def plain(self) -> str:
        """The text, without blanks at the end."""
        return "".join(span.text for span in self.spans).rstrip()

    def painted(self, colours: bool) -> str:
        """The text with its colours."""
        if not colours:
            return self.plain
        codes = ((span.text, CODES[span.style]) for span in self.spans)
        return "".join(f"\x1b[{code}m{text}{RESET}" if code else text for text, code in codes)

    def clipped(self, width: int) -> "Line":
        """The line in ``width`` characters, without its end."""
        return self if len(self.plain) <= width else Line((*self._begin(max(0, width - 1)), Span("…"[:width])))

    def _begin(self, room: int) -> Iterator[Span]:
        for span in self.spans:
            yield Span(span.text[:room], span.style)
            room -= len(span.text[:room])


def line(text: str, style: str = "") -> Line:
    """A line of one style."""
    return Line((Span(text, style),))
