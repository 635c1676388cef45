"""What lies here of the release before this one is whole, and older than this one."""

from pathlib import Path

import yaml

from tests import previous
from tests.cluster.image import inputs


def test_the_chart_and_all_that_its_image_is_made_from_are_there() -> None:
    with previous.unpacked() as folder:
        chart = yaml.safe_load((folder / previous.CHART / "Chart.yaml").read_text())
        assert chart["name"] == "outbox-relay-operator"
        assert (folder / previous.CHART / "files/outboxrelays.yaml").is_file()
        names = {file.relative_to(folder).as_posix() for file in inputs(folder)}
    assert {"Dockerfile", "constraints/runtime.txt", "operator/outboxrelay/__main__.py"} <= names


def test_it_is_no_newer_than_this_one() -> None:
    def version(root: Path) -> tuple[int, ...]:
        chart = yaml.safe_load((root / previous.CHART / "Chart.yaml").read_text())
        return tuple(int(part) for part in str(chart["version"]).split("."))

    with previous.unpacked() as folder:
        assert version(folder) <= version(Path())


def test_the_commit_it_is_of_is_noted() -> None:
    assert len(previous.commit()) == 40
