"""Every test file that needs servers runs on exactly one cluster, and the clusters have about as much to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite import lanes, parts

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_file_is_run_once_and_what_needs_kubernetes_where_there_is_one(count: int) -> None:
    files = lanes.found(ROOT)
    divided = lanes.divide(files, count)
    assert sorted(file for lane in divided for file in lane.files) == sorted(files)
    assert all(lane.has_kubernetes for lane in divided for file in lane.files if files[file])


def test_no_folder_of_tests_is_forgotten() -> None:
    single = [argument for part in (*parts.checks(), *parts.browser()) for argument in part.command]
    run = {item for item in single if item.startswith("tests/")}
    run |= {str(Path(file).parent) for file in lanes.found(ROOT)}
    folders = {file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")}
    assert folders == run


def test_what_is_known_to_be_long_is_there() -> None:
    names = {Path(file).name for file in lanes.found(ROOT)}
    assert set(lanes.SECONDS) <= names


def test_long_files_are_spread_and_short_ones_fill_up() -> None:
    long = {f"test_long_{n}.py": 60.0 for n in range(4)}
    files = {f"tests/integration/{name}": False for name in [*long, *(f"test_short_{n}.py" for n in range(40))]}
    divided = lanes.divide(files, 4, long)
    assert all(len(set(long) & {Path(file).name for file in lane.files}) == 1 for lane in divided)
    loads = [lane.seconds for lane in divided]
    assert max(loads) - min(loads) <= lanes.SECONDS_OF_OTHERS["integration"]


def test_the_division_is_the_same_each_time_whatever_order_the_files_come_in() -> None:
    files = lanes.found(ROOT)
    backwards = dict(reversed(list(files.items())))
    assert lanes.divide(files, 4) == lanes.divide(backwards, 4)


def test_end_to_end_tests_come_last_on_their_cluster() -> None:
    for lane in lanes.divide(lanes.found(ROOT), 4):
        is_e2e = ["/e2e/" in file for file in lane.files]
        assert is_e2e == sorted(is_e2e)


def test_a_lane_without_files_is_no_lane() -> None:
    assert [lane.number for lane in lanes.divide({"tests/e2e/test_first_steps.py": True}, 4)] == [1]


@pytest.mark.parametrize(
    ("megabytes", "cores", "count"),
    [
        (500, 8, 1),
        (3500, 8, 1),
        (6000, 8, 2),
        (7200, 8, 3),
        (9700, 8, 4),
        (64_000, 8, 4),
        (64_000, 1, 2),
        (64_000, 2, 3),
    ],
)
def test_little_memory_and_few_processors_are_less_side_by_side_but_never_nothing(
    megabytes: int, cores: int, count: int
) -> None:
    assert lanes.how_many(megabytes, cores) == count


def test_a_marker_tells_that_a_file_needs_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "integration" / "test_a.py"
    file.parent.mkdir()
    file.write_text("pytestmark = pytest.mark.needs_services\n")
    assert not lanes.needs_kubernetes(file)
    file.write_text("pytestmark = pytest.mark.needs_cluster\n")
    assert lanes.needs_kubernetes(file)
