"""What is read of the suite while it runs, and at its end."""

from __future__ import annotations

import pytest

from tests.suite import report
from tests.suite.part import Outcome
from tests.suite.report import Result

VERBOSE = "tests/a.py::test_one PASSED [ 33%]\ntests/a.py::test_two[FAILED] FAILED [ 66%]\ntests/a.py::test_three "


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (VERBOSE, "66%"),
        ("collecting ...\n", "collecting ..."),
        ("", ""),
        ("a\n" + "b" * 60 + "\n\n", "b" * 47 + "…"),
    ],
)
def test_how_far_a_part_is_is_its_share_or_what_it_said_last(output: str, told: str) -> None:
    assert report.how_far(output) == told


def test_the_line_of_progress_names_all_that_runs() -> None:
    line = report.progress(95.4, {"lint": Result(Outcome.OK)}, {"unit": "", "tests 1": VERBOSE})
    assert line == "[1:35] 1 parts done; unit | tests 1: 66%"


def test_a_part_that_came_to_its_end_tells_its_own_summary_and_another_what_had_failed() -> None:
    summary = f"{VERBOSE}\n=== short test summary info ===\nFAILED tests/a.py::test_two[FAILED] - assert 1\n"
    ended = {
        "good": Result(Outcome.OK, output=VERBOSE),
        "whole": Result(Outcome.FAILED, output=summary),
        "cut": Result(Outcome.INTERRUPTED, output=VERBOSE),
        "up": Result(Outcome.FAILED, output="\n".join(f"line {n}" for n in range(30))),
    }
    told = report.failures(ended).split("\n")
    assert told[:4] == [
        "whole FAILED:",
        "  FAILED tests/a.py::test_two[FAILED] - assert 1",
        "cut interrupted:",
        "  tests/a.py::test_two[FAILED] FAILED [ 66%]",
    ]
    assert told[4:6] == ["up FAILED:", "  line 15"]
    assert told[-1] == "  line 29"


def test_the_table_has_every_part_in_the_order_in_which_they_began() -> None:
    ended = {
        "late": Result(Outcome.OK, 60, 5),
        "never": Result(Outcome.NOT_RUN),
        "early": Result(Outcome.FAILED, 0, 61.25),
    }
    rows = [line.split() for line in report.table(70, ended).split("\n")]
    assert [row[0] for row in rows] == ["part", "early", "late", "never", "all"]
    assert rows[1] == ["early", "FAILED", "0:00", "61.2", "s"]
    assert rows[-1] == ["all", "FAILED", "70.0", "s"]


def test_a_long_name_of_a_part_stays_apart_from_how_it_went() -> None:
    printed = report.table(70, {"previous image 2": Result(Outcome.OK, 0, 5), "unit": Result(Outcome.OK, 5, 5)})
    assert {line.index("ok") for line in printed.split("\n")[1:]} == {18}
