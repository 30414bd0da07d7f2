"""Packages of an extra: what is missing is said with how it is had; what they lack themselves is another thing."""

import json
from pathlib import Path

import pytest

from uvmfree.errors import ExtraError
from uvmfree.measure.extras import needs


@pytest.mark.parametrize(
    ("module", "missing"), [("no_such_package", "no_such_package"), ("no_such_package.part", "no_such_package")]
)
def test_what_is_missing_is_said_with_its_extra(module: str, missing: str) -> None:
    with pytest.raises(ExtraError) as error:
        needs(module, "trace", "--perfetto")
    assert str(error.value) == f"--perfetto needs {missing}: pip install 'uvmfree[trace]'"


def test_a_package_without_the_part_that_is_needed_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package_of_parts.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ExtraError, match=r"^--x needs package_of_parts\.part: "):
        needs("package_of_parts.part", "x", "--x")


def test_what_a_package_lacks_itself_is_not_said_to_be_an_extra_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package_that_lacks.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as error:
        needs("package_that_lacks", "x", "--x")
    assert error.value.name == "no_such_package"


def test_what_is_there_is_returned() -> None:
    assert needs("json", "x", "--x") is json
