"""docs/write-a-design.md, word for word: its code is a package, its commands run, the contract holds for it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/write-a-design.md").read_text()
BOUND_S = 100
UV = shutil.which("uv") or shutil.which(str(ROOT / ".uv/bin/uv"))
LINES_MAX = 60


def blocks(language: str) -> list[str]:
    """Return the page's blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run a command with packages on the path, bounded; return what it prints.

    => The current folder is not on it but for what the command does, as where its script is installed.
    """
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*filter(None, [path]), ROOT))), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what the page has one save, and its package."""
    folder = tmp_path_factory.mktemp("batches")
    (folder / "batches.py").write_text("\n\n".join(blocks("python")))
    (folder / "pyproject.toml").write_text("".join(blocks("toml")))
    return folder


def test_the_design_is_as_short_as_the_page_says(package: Path) -> None:
    assert len([line for line in (package / "batches.py").read_text().splitlines() if line.strip()]) <= LINES_MAX


@pytest.mark.timeout(4 * BOUND_S)
def test_every_command_of_the_page_runs(package: Path) -> None:
    """Where the file was saved, before it is installed anywhere."""
    commands = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert [command[1] for command in commands] == ["check-design", "bench", "bench", "stress"]
    said = [run(sys.executable, "-m", "uvmfree", *command[1:], cwd=package) for command in commands]
    assert re.search(r"batches:Batches: \d\d+ tests of the contract hold, 0 fail", said[0])
    assert all("batches" in each for each in said)


@pytest.mark.timeout(2 * BOUND_S)
def test_an_installed_package_brings_it_by_name(package: Path, tmp_path: Path) -> None:
    if UV is None:
        pytest.skip("no uv here: ./run brings one")
    install = [UV, "pip", "install", "-q", "--no-deps", "-p", sys.executable, "--target", str(tmp_path / "site")]
    run(*install, str(package), cwd=tmp_path, path=package)
    bench = ["bench", "--machine", "virtual", "--design", "batches", "--workload", "handoff", "--repetitions", "1"]
    said = run(sys.executable, "-m", "uvmfree", *bench, cwd=tmp_path, path=tmp_path / "site")
    assert "batches" in said


@pytest.mark.timeout(2 * BOUND_S)
def test_a_mistake_is_told_with_the_rule_that_it_breaks(package: Path, tmp_path: Path) -> None:
    """The one that the page has one try."""
    wrong = (package / "batches.py").read_text().replace("self.took(len(pages))", "pass")
    (tmp_path / "batches.py").write_text(wrong)
    command = [sys.executable, "-m", "uvmfree", "check-design", "batches:Batches"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=2 * BOUND_S, check=False
    )
    assert done.returncode == 1
    assert re.search(r"^fails  test_\w+\.py::test_\w+\n       .*R\d+", done.stdout, re.MULTILINE)
