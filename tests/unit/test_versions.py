"""Which files are run with each version, and what is told of the outcome."""

from pathlib import Path

from tests.cluster import postgres_build
from tests.versions.__main__ import FILES, PAGE, Result, counted, renewed

REPORT = """<testsuites><testsuite>
<testcase classname="tests.integration.test_a" name="test_good"/>
<testcase classname="tests.integration.test_a" name="test_left"><skipped/></testcase>
<testcase classname="tests.integration.test_b" name="test_bad"><failure message="x"/></testcase>
<testcase classname="tests.integration.test_b" name="test_broken"><error message="x"/></testcase>
</testsuite></testsuites>"""


def test_each_file_that_is_named_is_there() -> None:
    assert [name for name in FILES if not (Path("tests/integration") / name).is_file()] == []


def test_failures_and_errors_are_counted_and_named() -> None:
    assert counted("16", REPORT, 1) == Result("16", 1, 2, 1, ("test_b: test_bad", "test_b: test_broken"))
    assert not counted("16", REPORT, 1).is_good


def test_a_run_without_a_test_is_not_good() -> None:
    assert not counted("16", "<testsuites/>", 0).is_good


def test_a_run_that_broke_off_is_not_good_and_the_table_says_so() -> None:
    broken = counted("16", REPORT.replace("<failure", "<x").replace("<error", "<x"), 2)
    assert (broken.failed, broken.is_good) == (0, False)
    assert "| **not run as a whole**: 3 passed, 1 skipped |" in broken.row("2026-11-28")


def test_the_table_says_which_release_was_tried_and_when() -> None:
    good, bad = Result("16", 7, 0, 1), Result("18", 6, 2, 0)
    assert good.row("2026-11-28") == f"| {postgres_build.release('16')} | 7 passed, 1 skipped | 2026-11-28 |"
    assert "| **2 failed**, 6 passed |" in bad.row("2026-11-28")


def test_a_run_of_some_versions_leaves_the_rows_of_the_others() -> None:
    before = renewed("", [Result("14", 5, 0, 0), Result("16", 5, 0, 0)], "2026-11-27")
    after = renewed(before, [Result("16", 7, 0, 0), Result("18", 7, 0, 0)], "2026-11-28")
    assert [line.split(" | ", 1)[1] for line in after.splitlines()[2:]] == [
        "5 passed | 2026-11-27 |", "not run yet | |", "7 passed | 2026-11-28 |", "not run yet | |",
        "7 passed | 2026-11-28 |",
    ]  # fmt: skip


def test_the_page_tells_of_each_version_that_can_be_tried() -> None:
    page = PAGE.read_text()
    assert [major for major in postgres_build.RELEASES if f"| {postgres_build.release(major)} |" not in page] == []
