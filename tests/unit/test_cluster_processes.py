"""Only what was started is ended: a record names one process, not whoever has its number now."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster import paths, processes
from tests.cluster.failures import ClusterError
from tests.cluster.progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("PROCESSES", "LOGS"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(paths, name, folder)
    yield
    for name in processes.names():
        processes.kill(name)


def test_a_program_is_found_by_its_record_and_stopped() -> None:
    pid = processes.start("waits", ["sleep", "60"])
    assert processes.pid_of("waits") == pid

    processes.stop("waits")

    assert not processes.is_running("waits")
    assert not processes.exists(pid)


def test_a_program_that_does_not_heed_the_signal_is_killed() -> None:
    processes.start("deaf", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    processes.stop("deaf", seconds=0.3)
    assert not processes.is_running("deaf")


def test_a_kill_reaches_the_children() -> None:
    pid = processes.start("parent", ["sh", "-c", "sleep 60 & sleep 60; true"])
    assert wait_until(lambda: len(processes.descendants([pid])) == 2, 5)
    everyone = [pid, *processes.descendants([pid])]

    processes.kill("parent")

    assert not any(processes.exists(each) for each in everyone)


@pytest.mark.parametrize("field", ["start", "boot"])
def test_a_process_that_inherited_the_number_is_left_alone(field: str) -> None:
    pid = processes.start("stranger", ["sleep", "60"])
    record = paths.PROCESSES / "stranger.json"
    own = record.read_text()
    record.write_text(json.dumps({**json.loads(own), field: "another"}))

    assert not processes.is_running("stranger")
    processes.kill("stranger")
    assert processes.exists(pid)

    record.write_text(own)


def test_a_stopped_program_still_runs_and_goes_on() -> None:
    processes.start("frozen", ["sleep", "60"])
    processes.send("frozen", processes.STOP)
    assert processes.is_running("frozen")
    processes.send("frozen", processes.CONTINUE)
    processes.stop("frozen", seconds=5)
    assert not processes.is_running("frozen")


def test_a_program_that_ends_at_once_is_told_with_its_last_words() -> None:
    processes.start("fails", ["sh", "-c", "echo no such thing; exit 1"])
    with pytest.raises(ClusterError, match=r"(?s)fails ended.*no such thing"):
        processes.wait_ready("fails", lambda: False, 5)


def test_a_program_keeps_nothing_open_that_was_open_here(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        pid = processes.start("waits", ["sleep", "60"])
        assert wait_until(lambda: os.readlink(f"/proc/{pid}/exe").endswith("sleep"), 5)
        opened = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert str(tmp_path / "lock") not in opened
