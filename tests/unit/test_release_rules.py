"""Each rule of a release, kept by what lies here and broken on purpose."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from outboxrelay import __version__
from tests.release import audit, builds, changelog, licences, versions
from tests.release.__main__ import (
    FAILED,
    NOT_CHECKED,
    OK,
    Check,
    differing,
    exit_code,
    judged,
    materials_problems,
    shown,
    vulnerabilities_check,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that have the version, to be broken."""
    for file in (*(ROOT / name for name in versions.PLACES), *versions.texts(ROOT)):
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return tmp_path


def test_the_version_is_the_same_in_every_place() -> None:
    places = versions.found(ROOT)
    assert places[0].version == __version__
    assert versions.problems(places) == []
    assert len(places) > sum(map(len, versions.PLACES.values())), "no document names it"


@pytest.mark.parametrize("name", [*versions.PLACES, "README.md", "docs/install.md"])
def test_a_place_with_another_version_is_named(copy: Path, name: str) -> None:
    file = copy / name
    file.write_text(file.read_text().replace(__version__, "9.9.9", 1))
    assert any("9.9.9" in problem for problem in versions.problems(versions.found(copy)))


def test_a_place_that_lost_its_version_is_named(copy: Path) -> None:
    (copy / "pyproject.toml").write_text("[project]\nname = 'outboxrelay'\n")
    with pytest.raises(ValueError, match=r"pyproject\.toml: 0 lines"):
        versions.found(copy)


def test_another_version_is_written_into_every_place_at_once(copy: Path) -> None:
    changed = versions.change(copy, "1.2.3rc1")
    assert {*versions.PLACES, "README.md", "docs/install.md"} <= set(changed)
    assert {place.version for place in versions.found(copy)} == {"1.2.3rc1"}
    assert __version__ not in (copy / "README.md").read_text()


@pytest.mark.parametrize("wrong", ["", "1.2", "v1.2.3", "1.2.3 ", "1.2.3-rc1"])
def test_what_is_no_version_is_refused(copy: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        versions.change(copy, wrong)
    assert versions.found(copy)[0].version == __version__


def test_the_changelog_tells_of_what_comes() -> None:
    assert changelog.problems((ROOT / "CHANGELOG.md").read_text(), __version__, final=False) == []


HEAD = "# Changelog\n\nText.\n\n"


@pytest.mark.parametrize(
    ("text", "final", "words"),
    [
        ("# Changelog\n", False, "no section"),
        (f"{HEAD}## Unreleased\n\n### Added\n", False, "is empty"),
        (f"{HEAD}## 0.9.0 - 2026-01-01\n- It.\n", False, "must begin with Unreleased or 1.0.0"),
        (f"{HEAD}## Unreleased\n- It.\n", True, "no section 1.0.0"),
        (f"{HEAD}## 1.0.0\n- It.\n", True, "has no day"),
        (f"{HEAD}## 1.0.0 - soon\n- It.\n", True, "has no day"),
        (f"{HEAD}## 1.0.0 - 2026-01-01\n\n## 0.9.0 - 2025-01-01\n- It.\n", True, "is empty"),
        (f"{HEAD}## Unreleased\n- More.\n\n## 1.0.0 - 2026-01-01\n- It.\n", True, "still has entries"),
        (f"{HEAD}## Unreleased\n- It.\n\n## Unreleased\n- It.\n", False, "section twice"),
    ],
)
def test_a_changelog_that_is_not_ready_is_told(text: str, final: bool, words: str) -> None:
    assert any(words in problem for problem in changelog.problems(text, "1.0.0", final=final))


def test_a_finished_changelog_is_good() -> None:
    text = f"{HEAD}## Unreleased\n\n## 1.0.0 - 2026-01-01\n\n### Added\n- It.\n\n## 0.9.0 - 2025-01-01\n- It.\n"
    assert changelog.problems(text, "1.0.0", final=True) == []


def component(name: str, *said: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1", "licenses": list(said)}


@pytest.mark.parametrize(
    "said",
    [
        {"license": {"id": "MIT"}},
        {"expression": "Apache-2.0 AND BSD-2-Clause"},
        {"expression": "GPL-3.0-only OR MIT"},
        {"license": {"name": "License :: OSI Approved :: Apache Software License"}},
    ],
)
def test_a_licence_that_is_allowed_is_good(said: dict[str, Any]) -> None:
    assert licences.problems([component("it", said)], {}) == []


@pytest.mark.parametrize(
    "said",
    [
        ({"license": {"id": "GPL-3.0-only"}},),
        ({"expression": "MIT AND GPL-3.0-only"},),
        ({"expression": "MIT AND (Apache-2.0 OR GPL-3.0-only)"},),
        ({"license": {"id": "MIT"}}, {"license": {"id": "SSPL-1.0"}}),
        ({"license": {"name": "as I please"}},),
        ({},),
        (),
    ],
)
def test_a_licence_that_is_not_allowed_or_not_told_is_named(said: tuple[dict[str, Any], ...]) -> None:
    (problem,) = licences.problems([component("it", *said)], {})
    assert problem.startswith("it 1: ")


def test_an_exception_is_for_one_package_and_one_licence_and_goes_when_nobody_needs_it() -> None:
    exceptions = {"it": ("MPL-2.0", "why")}
    mpl = {"license": {"id": "MPL-2.0"}}
    assert licences.problems([component("it", mpl)], exceptions) == []
    assert len(licences.problems([component("it", mpl), component("other", mpl)], exceptions)) == 1
    assert licences.problems([component("it", {"license": {"id": "MIT"}})], exceptions) == [
        "the exception for it is not needed any more"
    ]
    assert any("GPL" in one for one in licences.problems([component("it", {"expression": "GPL-2.0"})], exceptions))


def test_every_exception_has_a_reason() -> None:
    assert all(licence and len(reason) > 20 for licence, reason in licences.EXCEPTIONS.values())


def pip_audit(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(dependencies), "fixes": []})


CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
UNKNOWN = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}
BAD = {"name": "c", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}


def test_packages_that_could_not_be_asked_about_are_not_called_clean() -> None:
    check = vulnerabilities_check(pip_audit(CLEAN, UNKNOWN))
    assert check.state == NOT_CHECKED
    assert "no data about 1 of 2 packages" in check.detail
    assert vulnerabilities_check(pip_audit(CLEAN)).state == OK


def test_a_vulnerable_package_is_named_with_what_mends_it() -> None:
    check = vulnerabilities_check(pip_audit(CLEAN, UNKNOWN, BAD))
    assert (check.state, check.detail) == (FAILED, "c 1: PYSEC-1, mended in 2")
    assert audit.read(pip_audit(BAD)).packages == 1


GOOD_BILL: dict[str, Any] = {
    "metadata": {"component": {"name": "outboxrelay", "version": "1.0.0"}},
    "components": [{"name": "a", "purl": "pkg:pypi/a@1"}],
}


def test_a_bill_of_materials_is_about_this_version_and_names_each_package() -> None:
    assert materials_problems(GOOD_BILL, "1.0.0") == []
    assert "not outboxrelay 2.0.0" in materials_problems(GOOD_BILL, "2.0.0")[0]
    assert materials_problems({**GOOD_BILL, "components": []}, "1.0.0") == ["it names no package"]
    assert materials_problems({**GOOD_BILL, "components": [{"name": "a"}]}, "1.0.0") == ["a has no purl"]
    assert materials_problems({}, "1.0.0")


def test_packages_that_differ_or_are_missing_are_told() -> None:
    same = {"a.whl": ("1", "1"), "a.tar.gz": ("2", "2")}
    assert differing(same) == []
    assert differing({**same, "a.whl": ("1", "3")}) == ["a.whl: 1 and 3"]
    assert differing({"a.whl": ("1", "1")}) == ["no .gz was built"]


def test_wheel_and_source_archive_are_the_same_bytes_whatever_the_checkout_is_like(tmp_path: Path) -> None:
    found = builds.packages(ROOT, tmp_path)
    assert differing(found) == []
    assert sorted(found) == [f"outboxrelay-{__version__}-py3-none-any.whl", f"outboxrelay-{__version__}.tar.gz"]


def test_what_was_not_checked_is_told_and_counts_as_wrong_where_that_is_wanted() -> None:
    checks = [judged("one", [], "fine"), Check("other", NOT_CHECKED, "no data")]
    assert "other  not checked  no data" in shown(checks)
    assert exit_code(checks, strict=False) == 0
    assert exit_code(checks, strict=True) == 1
    assert exit_code([*checks, judged("third", ["a", "b"], "fine")], strict=False) == 1
