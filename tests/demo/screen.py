"""What the demo prints: headings, commands as one would type them, and what they answer."""

from __future__ import annotations

import re
import subprocess
import sys
import time

COLOURED = sys.stdout.isatty()
STARTED = time.monotonic()


def _styled(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOURED else text


def heading(text: str) -> None:
    """A new scene, with the seconds since the start."""
    print(f"\n{_styled(f'── {text} ', '1;36')}{_styled(f'({time.monotonic() - STARTED:.0f} s)', '2')}", flush=True)


def say(text: str) -> None:
    """A sentence about what is going on."""
    print(_styled(text, "3"), flush=True)


def show(text: str) -> None:
    """What a command answered."""
    for line in text.rstrip().splitlines():
        print(f"  {line}", flush=True)


def columns(header: str, line: str) -> tuple[list[str], list[str]]:
    """The names and the cells of one line of kubectl get, empty cells included."""
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    return header.split(), [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def table_line(cells: list[str]) -> str:
    """Cells in columns of one width, which lines that come one by one do not have by themselves."""
    name, ready, reason, *rest = cells
    return f"{name:<8}{ready:<8}{reason:<20}" + "".join(f"{cell:<10}" for cell in rest)


def good(text: str) -> None:
    """A result to be glad of."""
    print(_styled(text, "1;32"), flush=True)


def bad(text: str) -> None:
    """A result that must not be."""
    print(_styled(text, "1;31"), flush=True)


def run(*command: str, stdin: str | None = None, quiet: bool = False, timeout: float = 120) -> str:
    """Type a command, show it and its answer (unless ``quiet``), and return the answer; raises when it fails."""
    if not quiet:
        print(f"{_styled('$', '2')} {_styled(' '.join(command), '1')}", flush=True)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    if not quiet:
        show(done.stdout)
    return done.stdout
