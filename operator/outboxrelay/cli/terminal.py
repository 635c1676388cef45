"""The terminal of a command that draws again and again: keys, signals, and everything put back at the end."""

import asyncio
import functools
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from outboxrelay.cli.fleet_keys import ESCAPE, keys
from outboxrelay.cli.styled import Line

HALF_A_KEY_SECONDS = 0.05
"""What follows an escape later than that is another key."""
MOST_BYTES = 4096
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""A screen of its own, no cursor, and no line goes on in the next one."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME, TO_END_OF_LINE = "\x1b[H", "\x1b[K"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

FALLBACK = os.terminal_size((80, 24))


def wants_colours() -> bool:
    """Whether standard output is a terminal whose user did not say NO_COLOR (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


class Terminal:
    """Standard input and output while they belong to a picture; ``on_key`` and ``on_change`` are called in the loop."""

    def __init__(self, on_key: Callable[[str], None], on_change: Callable[[], None]) -> None:
        self._on_key = on_key
        self._on_change = on_change
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._rest = b""
        self._colours = wants_colours()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit code, once a signal or the end of the terminal asks for the end."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The picture on a screen of its own, keys one by one; afterwards the terminal is as it was."""
        with self._signals(), self._raw(), self._screen():
            yield

    def size(self) -> os.terminal_size:
        """Columns and lines now."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            size = FALLBACK
        return size if size.columns and size.lines else FALLBACK

    def draw(self, lines: Sequence[Line]) -> None:
        """These lines over what is there, without clearing it first: that would flicker."""
        text = f"{TO_END_OF_LINE}\r\n".join(line.painted(self._colours) for line in lines)
        self._write(f"{HOME}{text}{TO_END_OF_LINE}")

    @contextmanager
    def _screen(self) -> Iterator[None]:
        self._write(ENTER)
        try:
            yield
        finally:
            self._write(LEAVE)

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            # The terminal is gone.
            self._end(128 + signal.SIGHUP)

    @contextmanager
    def _raw(self) -> Iterator[None]:
        if self._input is None:
            yield
            return
        before = termios.tcgetattr(self._input)
        loop = asyncio.get_running_loop()
        try:
            # Ctrl-C and Ctrl-Z stay signals.
            tty.setcbreak(self._input, termios.TCSANOW)
            loop.add_reader(self._input, self._read)
            yield
        finally:
            loop.remove_reader(self._input)
            _restore(self._input, before)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        reactions: dict[signal.Signals, Callable[[], Any]] = {
            **{number: functools.partial(self._end, 128 + number) for number in ENDING},
            signal.SIGWINCH: self._on_change,
            signal.SIGTSTP: self._suspend,
        }
        for number, reaction in reactions.items():
            loop.add_signal_handler(number, reaction)
        try:
            yield
        finally:
            for number in reactions:
                loop.remove_signal_handler(number)

    def _end(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _suspend(self) -> None:
        """Ctrl-Z: the terminal is the shell's until it says go on."""
        self._write(LEAVE)
        settings = termios.tcgetattr(self._input) if self._input is not None else None
        if settings is not None and self._input is not None:
            cooked = list(settings)
            cooked[3] |= termios.ICANON | termios.ECHO
            _restore(self._input, cooked)
        os.kill(os.getpid(), signal.SIGSTOP)
        if settings is not None and self._input is not None:
            _restore(self._input, settings)
        self._write(ENTER)
        self._on_change()

    def _read(self) -> None:
        assert self._input is not None
        try:
            received = os.read(self._input, MOST_BYTES)
        except OSError:
            received = b""
        if not received:
            # The terminal is gone.
            self._end(128 + signal.SIGHUP)
            asyncio.get_running_loop().remove_reader(self._input)
            return
        data, self._rest = self._rest + received, b""
        if data.endswith(ESCAPE.encode()):
            self._rest = data
            asyncio.get_running_loop().call_later(HALF_A_KEY_SECONDS, self._whole, data)
            return
        self._take(data)

    def _whole(self, data: bytes) -> None:
        if self._rest == data:
            self._rest = b""
            self._take(data)

    def _take(self, data: bytes) -> None:
        found, self._rest = keys(data)
        for key in found:
            self._on_key(key)


def _restore(descriptor: int, settings: list[Any]) -> None:
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    except (termios.error, OSError):
        # The terminal is gone, and with it what could be restored.
        return
