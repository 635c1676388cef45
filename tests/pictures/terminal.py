"""Commands in a terminal of a given size, and what they drew as a picture."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from rich.console import Console
from rich.text import Text

END_SECONDS = 60.0
BLANK = 12.2
"""Width of a character in rich's pictures."""
MOVES = re.compile(r"\x1b\[(?:\?\d+[hl]|H|K|J)")


class Terminal:
    """A program in a pseudo-terminal; ``output`` is all that it wrote."""

    def __init__(self, command: Sequence[str], *, columns: int, lines: int, environment: Mapping[str, str]) -> None:
        self._own, theirs = pty.openpty()
        self._theirs = theirs
        self.before = termios.tcgetattr(theirs)
        self.resize(columns, lines, tell=False)
        # A session of its own, whose terminal this is: so Ctrl-C reaches it.
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.output = ""

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        """Somebody drags the window."""
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def type(self, text: str) -> None:
        """Keys."""
        os.write(self._own, text.encode())

    def until(self, done: Callable[[str], object], what: str) -> None:
        """Read until what was written since the last picture is enough; AssertionError after a minute."""
        end = time.monotonic() + END_SECONDS
        while not done(self.output):
            assert time.monotonic() < end, f"never seen: {what}; last: {self.screen()}"
            self._read(0.2)

    def ended(self) -> int:
        """Its exit code."""
        end = time.monotonic() + END_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self._read(0.1)
        while self._read(0.1):
            pass
        return self.process.returncode

    def settings(self) -> list[object]:
        """How the terminal is set now."""
        return list(termios.tcgetattr(self._theirs))

    def screen(self) -> str:
        """What was drawn last, with its colours."""
        return MOVES.sub("", self.output.rsplit("\x1b[H", 1)[-1]).replace("\r", "")

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._own)
        os.close(self._theirs)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._own], [], [], seconds)[0]:
            return False
        with suppress(OSError):
            self.output += os.read(self._own, 65536).decode(errors="replace")
            return True
        return False


def svg(text: str, title: str, columns: int) -> str:
    """A picture of a terminal that shows ``text``."""
    console = Console(record=True, width=columns, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(text), soft_wrap=True, end="")
    drawn = console.export_svg(title=title, unique_id="picture")
    # Fonts of the reader's machine: a picture must load nothing.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return re.sub(r'(<text[^>]*?) x="([\d.]+)"([^>]*?) textLength="([\d.]+)"([^>]*)>((?:&#160;)+)', _moved, drawn)


def _moved(match: re.Match[str]) -> str:
    """A text begins where its first letter is: some viewers drop blanks there."""
    before, x, between, length, after, blanks = match.groups()
    shift = BLANK * blanks.count("&#160;")
    return f'{before} x="{float(x) + shift:g}"{between} textLength="{float(length) - shift:g}"{after}>'


PYTHON = sys.executable
