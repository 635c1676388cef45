"""Which files are run with each version, and what is told of the outcome."""

from pathlib import Path

from tests.cluster import postgres_build
from tests.versions.__main__ import FILES, PAGE, Result, counted, table

REPORT = """<testsuites><testsuite>
<testcase classname="tests.integration.test_a" name="test_good"/>
<testcase classname="tests.integration.test_a" name="test_left"><skipped/></testcase>
<testcase classname="tests.integration.test_b" name="test_bad"><failure message="x"/></testcase>
<testcase classname="tests.integration.test_b" name="test_broken"><error message="x"/></testcase>
</testsuite></testsuites>"""


def test_each_file_that_is_named_is_there() -> None:
    assert [name for name in FILES if not (Path("tests/integration") / name).is_file()] == []


def test_failures_and_errors_are_counted_and_named() -> None:
    assert counted("16", REPORT) == Result("16", 1, 2, 1, ("test_b: test_bad", "test_b: test_broken"))
    assert not counted("16", REPORT).is_good


def test_a_run_without_a_test_is_not_good() -> None:
    assert not counted("16", "<testsuites/>").is_good


def test_the_table_says_which_release_was_tried_and_when() -> None:
    text = table([Result("16", 7, 0, 1), Result("18", 6, 2, 0)], "2026-11-28")
    assert f"| {postgres_build.release('16')} | 7 passed, 1 skipped | 2026-11-28 |" in text
    assert "**2 failed**, 6 passed" in text


def test_the_page_tells_of_each_version_that_can_be_tried() -> None:
    page = PAGE.read_text()
    assert [major for major in postgres_build.RELEASES if f"| {postgres_build.release(major)} |" not in page] == []
