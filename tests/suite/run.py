"""Runs the parts, several at once; what each says is kept and printed whole when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import report, schedule
from .part import Outcome
from .report import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .part import Part

LOGS = Path(".bench/suite")
_PROGRESS_SECONDS = 30.0
_POLL_SECONDS = 0.1
# A test run that is interrupted ends its own servers and puts back what it changed.
_GRACE = ((signal.SIGINT, 60.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))


class _Running:
    """A part at work."""

    def __init__(self, part: Part, began: float) -> None:
        self.part = part
        self.began = began
        self.log = LOGS / f"{part.name.replace(' ', '-')}.log"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        # What one process compiled the others need not.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if part.cluster:
            environment["OUTBOXRELAY_CLUSTER"] = part.cluster
        with self.log.open("wb") as log:
            # A group of its own: an interrupt reaches all that the part started, and nobody twice.
            self.process = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                process_group=0,
            )

    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def result(self, now: float, outcome: Outcome | None = None) -> Result:
        """How it went."""
        outcome = outcome or (Outcome.OK if self.process.returncode == 0 else Outcome.FAILED)
        return Result(outcome, self.began, now - self.began, self.output())


class Suite:
    """``Suite(parts).run()`` gives the exit code."""

    def __init__(self, parts: Sequence[Part]) -> None:
        schedule.check(parts)
        self._parts = parts
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, Result] = {}
        self._start = time.monotonic()
        self._told = self._start

    def run(self) -> int:
        """Run all; an interrupt (also SIGTERM) ends what runs, tidies up, and is told."""
        LOGS.mkdir(parents=True, exist_ok=True)
        # Also where a shell put this into the background, deaf to an interrupt, as its children would be then.
        before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
        interrupted = False
        try:
            self._go_on()
        except KeyboardInterrupt:
            interrupted = True
            self._interrupt()
            self._go_on()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        return self._tell(interrupted)

    def _go_on(self) -> None:
        while len(self._ended) < len(self._parts):
            self._collect()
            outcomes = {name: result.outcome for name, result in self._ended.items()}
            for part in schedule.to_start(self._parts, outcomes, self._running):
                _say(f"--- {part.name} begins: {part.about}" + (f" (cluster {part.cluster})" if part.cluster else ""))
                self._running[part.name] = _Running(part, self._passed())
            for part in schedule.never(self._parts, outcomes, self._running):
                self._ended[part.name] = Result(Outcome.NOT_RUN)
            if self._running:
                self._tell_progress()
                time.sleep(_POLL_SECONDS)

    def _collect(self) -> None:
        for name, running in list(self._running.items()):
            if running.process.poll() is not None:
                self._end(name, running.result(self._passed()))

    def _end(self, name: str, result: Result) -> None:
        del self._running[name]
        self._ended[name] = result
        _say(f"\n=== {name}: {result.outcome} after {result.seconds:.1f} s")
        _say(result.output.rstrip())
        _say(f"=== end of {name}\n")

    def _interrupt(self) -> None:
        _say(f"\ninterrupted; ending {', '.join(self._running) or 'nothing'}")
        groups = [running.process for running in self._running.values()]
        for number, seconds in _GRACE:
            for group in groups:
                _signal_group(group, number)
            end = time.monotonic() + seconds
            while any(group.poll() is None for group in groups) and time.monotonic() < end:
                time.sleep(_POLL_SECONDS)
        for name, running in list(self._running.items()):
            self._end(name, running.result(self._passed(), Outcome.INTERRUPTED))
        # Nothing begins after a failure but what tidies up; an interrupt between two parts must have the same effect.
        for part in self._parts:
            if part.name not in self._ended and not part.tidies_up:
                self._ended[part.name] = Result(Outcome.NOT_RUN)

    def _tell_progress(self) -> None:
        if time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self._told = time.monotonic()
            outputs = {name: running.output() for name, running in self._running.items()}
            _say(report.progress(self._passed(), self._ended, outputs))

    def _tell(self, interrupted: bool) -> int:
        _say("\n" + report.table(self._passed(), self._ended))
        if failures := report.failures(self._ended):
            _say("\n" + failures)
        if interrupted:
            return 130
        return 0 if all(result.outcome is Outcome.OK for result in self._ended.values()) else 1

    def _passed(self) -> float:
        return time.monotonic() - self._start


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Whoever of it is left: a child may outlive the one that started it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        # It became root by sudo, which does not ask again so soon.
        subprocess.run(["sudo", "-n", "kill", "-s", number.name, "--", f"-{process.pid}"], check=False, timeout=10)


def _say(text: str) -> None:
    print(text, flush=True)
