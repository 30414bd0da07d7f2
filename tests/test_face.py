"""The package's face: the names it has, and that those which cost time are imported when they are asked for."""

import subprocess
import sys

import pytest

import uvmfree

HEAVY = ("atomics", "cffi", "ctypes", "dataclasses", "plotly", "rich", "scipy", "numpy", "threading")


def loaded_by(code: str) -> set[str]:
    """Run code in a new interpreter; return which of the heavy modules it has loaded, beyond a bare start."""
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True, encoding="utf-8"
    )
    return set(done.stdout.split()) & set(HEAVY)


def test_every_name_of_the_face_is_there() -> None:
    for name in uvmfree.__all__:
        assert getattr(uvmfree, name) is not None
        assert name in dir(uvmfree)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bot'"):
        _ = uvmfree.bot


def test_designs_tell_what_boot_takes() -> None:
    assert list(uvmfree.DESIGNS)[:2] == ["fpageqlock", "percpu"]
    assert all("\n" not in line and line for line in uvmfree.DESIGNS.values())


def test_the_face_imports_nothing_that_takes_time() -> None:
    assert loaded_by("import uvmfree") == set()


def test_asking_for_boot_imports_what_it_needs() -> None:
    assert "atomics" in loaded_by("import uvmfree; uvmfree.boot")


def test_the_help_imports_nothing_that_draws_or_measures() -> None:
    code = "from uvmfree.cli import cli; cli(['--help'], standalone_mode=False)"
    assert not loaded_by(code) & {"atomics", "cffi", "plotly", "rich", "scipy", "numpy"}


def test_a_name_that_nobody_asked_for_yet_is_listed_and_then_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(uvmfree, "Ticket", raising=False)
    assert "Ticket" in dir(uvmfree)
    assert "Ticket" not in vars(uvmfree)
    assert uvmfree.Ticket is vars(uvmfree)["Ticket"]
