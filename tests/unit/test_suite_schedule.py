"""What of the suite may begin when, and what is still done after a failure or an interrupt."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.progress import wait_until
from tests.suite import lanes, parts, schedule
from tests.suite.part import Outcome, Part
from tests.suite.run import Suite

ROOT = Path(__file__).parents[2]
OK, FAILED, NOT_RUN = Outcome.OK, Outcome.FAILED, Outcome.NOT_RUN


def part(name: str, *after: str, tidies_up: bool = False) -> Part:
    return Part(name, ("true",), name, after=after, tidies_up=tidies_up)


LANE = [part("up"), part("tests", "up"), part("down", "up", "tests", tidies_up=True)]
OTHER = [part("up 2", "up"), part("tests 2", "up 2"), part("down 2", "up 2", "tests 2", tidies_up=True)]
BOTH = [*LANE, *OTHER]


def names(found: list[Part]) -> list[str]:
    return [each.name for each in found]


def test_a_part_begins_when_all_it_waits_for_ended_well() -> None:
    assert names(schedule.to_start(BOTH, {}, ())) == ["up"]
    assert names(schedule.to_start(BOTH, {}, ("up",))) == []
    assert names(schedule.to_start(BOTH, {"up": OK}, ())) == ["tests", "up 2"]
    assert names(schedule.to_start(BOTH, {"up": OK, "tests": OK}, ("up 2",))) == ["down"]


def test_after_a_failure_only_what_tidies_up_begins_and_what_runs_is_waited_for() -> None:
    ended = {"up": OK, "up 2": OK, "tests": FAILED}
    assert names(schedule.to_start(BOTH, ended, ("tests 2",))) == ["down"]
    assert names(schedule.to_start(BOTH, {**ended, "down": OK}, ("tests 2",))) == []
    assert names(schedule.to_start(BOTH, {**ended, "down": OK, "tests 2": OK}, ())) == ["down 2"]


def test_what_never_began_is_not_tidied_up_after() -> None:
    ended = {"up": FAILED}
    assert names(schedule.to_start(BOTH, ended, ())) == ["down"]
    ended["down"] = OK
    assert names(schedule.to_start(BOTH, ended, ())) == []
    assert names(schedule.never(BOTH, ended, ())) == ["tests", "up 2", "tests 2", "down 2"]


def test_nothing_is_given_up_while_something_runs_or_can_begin() -> None:
    assert schedule.never(BOTH, {}, ()) == []
    assert schedule.never(BOTH, {"up": OK}, ("tests", "up 2")) == []


@pytest.mark.parametrize("fails", [None, "lint", "unit", "chromium", "up 1", "image 2", "tests 3"])
def test_the_whole_suite_comes_to_an_end_with_every_cluster_down_that_came_up(fails: str | None) -> None:
    everything = [*parts.checks(), *parts.browser(), *parts.on_local_clusters(lanes.divide(lanes.found(ROOT), 4), ())]
    schedule.check(everything)
    ended: dict[str, Outcome] = {}
    while len(ended) < len(everything):
        begun = schedule.to_start(everything, ended, ())
        for each in begun:
            ended[each.name] = FAILED if each.name == fails else OK
        for each in schedule.never(everything, ended, ()):
            ended[each.name] = NOT_RUN
    for number in range(1, 5):
        assert (ended[f"up {number}"] is NOT_RUN) == (ended[f"down {number}"] is NOT_RUN)
    assert (set(ended.values()) == {OK}) == (fails is None)


def test_builds_happen_once_as_all_wait_for_the_first_cluster() -> None:
    found = parts.on_local_clusters(lanes.divide(lanes.found(ROOT), 4), ())
    assert all("up 1" in each.after for each in found if each.name.startswith("up ") and each.name != "up 1")


def test_a_cluster_that_was_up_before_is_left_up() -> None:
    found = parts.on_local_clusters(lanes.divide(lanes.found(ROOT), 4), {"mine"}, "mine")
    assert {each.name for each in found if each.tidies_up} == {"down 2", "down 3", "down 4"}
    assert {each.cluster for each in found} == {"mine", "mine-2", "mine-3", "mine-4"}


@pytest.mark.parametrize("wrong", [[part("a"), part("a")], [part("a", "b"), part("b")], [part("a", "a")]])
def test_a_part_that_waits_for_nothing_that_comes_is_a_mistake(wrong: list[Part]) -> None:
    with pytest.raises(ValueError, match=r"called|come before"):
        schedule.check(wrong)


def shell(name: str, script: str, *after: str, tidies_up: bool = False) -> Part:
    return Part(name, ("sh", "-c", script), "a script", after=after, tidies_up=tidies_up)


def test_what_runs_at_once_is_printed_whole_and_failures_come_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    fails = "for n in 1 2 3; do echo right $n; sleep 0.1; done; echo 'FAILED tests/x.py::test_y - no'; false"
    steps = [
        shell("left", "for n in 1 2 3; do echo left $n; sleep 0.1; done"),
        shell("right", fails),
        shell("after", "true", "left", "right"),
        shell("tidy", "echo tidied", "left", "after", tidies_up=True),
    ]
    assert Suite(steps).run() == 1
    printed = capsys.readouterr().out
    assert "left 1\nleft 2\nleft 3\n" in printed
    assert "right 1\nright 2\nright 3\n" in printed
    assert "tidied" in printed
    lines = printed.rstrip().split("\n")
    assert lines[-2:] == ["right FAILED:", "  FAILED tests/x.py::test_y - no"]
    assert [line.split() for line in lines if line.startswith("after ")] == [["after", "not", "run"]]


def test_all_well_is_zero(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Suite([shell("one", "echo $OUTBOXRELAY_CLUSTER"), shell("two", "true", "one")]).run() == 0
    assert "ok" in capsys.readouterr().out.rstrip().split("\n")[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_children_of_children_and_tidies_up(number: signal.Signals, tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.suite.part import Part
from tests.suite.run import Suite
work = Part("work", ("sh", "-c", "trap 'touch heard; exit 1' INT; sleep 61 & echo $! > child; wait"), "waits")
later = Part("later", ("touch", "later"), "never", after=("work",))
tidy = Part("tidy", ("touch", "tidied"), "tidies", after=("work", "later"), tidies_up=True)
sys.exit(Suite([work, later, tidy]).run())
"""
    # As a shell starts what it puts in the background: deaf to SIGINT.
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    suite = subprocess.Popen([*shell, sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    child = tmp_path / "child"
    assert wait_until(lambda: child.exists() and child.read_text().strip() != "", 10)
    suite.send_signal(number)
    printed, _ = suite.communicate(timeout=30)
    assert suite.returncode == 130
    assert re.search(r"^work +interrupted", printed, re.MULTILINE)
    assert (tmp_path / "heard").exists()
    assert (tmp_path / "tidied").exists()
    assert not (tmp_path / "later").exists()
    assert wait_until(lambda: not is_alive(int(child.read_text())), 5)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_image_of_the_release_before_is_built_on_the_one_cluster_that_upgrades_from_it() -> None:
    divided = lanes.divide(lanes.found(ROOT), 4)
    (lane,) = [lane for lane in divided if any(file.endswith(parts.UPGRADE) for file in lane.files)]
    found = {each.name: each for each in parts.on_local_clusters(divided, ())}
    assert [name for name in found if name.startswith("previous")] == [f"previous image {lane.number}"]
    assert f"previous image {lane.number}" in found[f"tests {lane.number}"].after
