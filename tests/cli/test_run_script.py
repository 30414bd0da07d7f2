"""The script `run`: which interpreter it takes, in which environment, with which groups, and what it says of that.

=> With a uv and interpreters that are small scripts: uv tells how it was called, an interpreter tells its version.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "cksum", "dirname", "readlink")
UV = """#!/bin/sh
case "$1 $2" in
    "python dir") echo "$TEST_MANAGED" ;;
    "python find") [ -n "${5:-}" ] || { echo ordinary; exit; }; [ "$5" != 3.99 ] || exit 2; echo "python$5" ;;
    *) echo "$*"; echo "python=${UV_PYTHON:-}"; echo "gil=${PYTHON_GIL:-}"
       echo "environment=${UV_PROJECT_ENVIRONMENT:-}" ;;
esac
"""
TEST_GROUPS = "--no-default-groups --group test"


@dataclass(frozen=True)
class Started:
    """How `uv run` was called: its arguments, and what of its environment was chosen for it; what was said."""

    args: str
    python: str
    gil: str
    environment: str
    said: str


class Rig:
    """A copy of the script in a folder, and all that it finds on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.project, self.bin = folder / "project", folder / "bin"
        self.managed, self.cache = folder / "managed", folder / "cache"
        for made in (self.project, self.bin):
            made.mkdir()
        shutil.copy(ROOT / "run", self.project)
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)
        self.script(self.bin / "uv", UV)
        self.python(self.bin / "ordinary", "3.11.2")

    @staticmethod
    def script(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def python(self, path: Path, version: str) -> Path:
        """Put an interpreter somewhere; it is installed where it stands."""
        self.script(path, f"#!/bin/sh\necho '{version} {path}'\n")
        return path

    def run(self, *args: str, **env: str) -> Started:
        told = {
            "PATH": str(self.bin),
            "HOME": "/nonexistent",
            "XDG_CACHE_HOME": str(self.cache),
            "TEST_MANAGED": str(self.managed),
        }
        done = subprocess.run(
            [str(self.project / "run"), *args],
            capture_output=True,
            text=True,
            env=told | env,
            cwd=self.project,
            timeout=60,
            check=True,
        )
        args_line, *rest = done.stdout.splitlines()
        values = dict(line.split("=", 1) for line in rest)
        called = args_line.removeprefix(f"run --project {self.project} ")
        return Started(called, values["python"], values["gil"], values["environment"], done.stderr)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


PLACES: dict[str, Callable[[Rig], Path]] = {
    "python3.14t": lambda rig: rig.python(rig.bin / "python3.14t", "3.14.1t"),
    "python3.13t": lambda rig: rig.python(rig.bin / "python3.13t", "3.13.7t"),
    "uv's": lambda rig: rig.python(
        rig.managed / "cpython-3.14.0+freethreaded-linux-x86_64-gnu" / "bin" / "python3.14t", "3.14.0t"
    ),
    "kept": lambda rig: rig.python(rig.cache / "uvmfree" / "python3.13t" / "bin" / "python3.13t", "3.13.5t"),
}
"""Where a free-threaded interpreter is looked for, in this order."""


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_a_free_threaded_interpreter_is_taken_from_the_first_place_that_has_one(rig: Rig, first: int) -> None:
    wanted, *_ = [make(rig) for make in list(PLACES.values())[first:]]
    started = rig.run("pytest", "-p", "no:cacheprovider")
    assert started.python == str(wanted)
    assert started.args == f"{TEST_GROUPS} pytest -p no:cacheprovider"
    assert started.gil == "0"
    assert started.said.count("\n") == 1
    assert f"free-threaded: {wanted}" in started.said


def test_without_one_it_is_what_uv_finds_and_how_to_get_one_is_said(rig: Rig) -> None:
    """The environment is then uv's own choice, and the groups are those of the project."""
    started = rig.run("uvmfree", "bench")
    assert started == Started("uvmfree bench", "", "", "", started.said)
    assert started.said == (
        f"run: Python 3.11.2, with the GIL: {rig.bin / 'ordinary'} "
        "(free-threaded: `uv python install 3.14t`, or .ci/freethreaded)\n"
    )


@pytest.mark.parametrize(
    ("args", "env"),
    [((), {"UV_PYTHON": "3.12"}), (("--python", "3.12"), {}), (("-p", "3.12"), {}), (("--python=3.12"), {})],
)
def test_what_the_user_asks_for_wins(rig: Rig, args: tuple[str, ...], env: dict[str, str]) -> None:
    """Even over one that is free-threaded; its environment is another."""
    args = (args,) if isinstance(args, str) else args
    rig.python(rig.bin / "python3.12", "3.12.3")
    threaded = PLACES["python3.14t"](rig)
    started = rig.run(*args, "pytest", **env)
    assert (started.python, started.gil) == ("3.12", "")
    assert started.args == " ".join((*args, "pytest"))
    assert "Python 3.12.3, with the GIL" in started.said
    assert ".venv-3.12.3-" in started.environment
    other = rig.run("pytest", UV_PYTHON=str(threaded))
    assert (other.python, other.gil) == (str(threaded), "0")
    assert ".venv-3.14.1t-" in other.environment


def test_every_interpreter_has_an_environment_of_its_own(rig: Rig) -> None:
    """Two of one version, too; and the same one has the same each time."""
    here, there = (rig.python(rig.managed / name / "python3.13t", "3.13.7t") for name in ("a", "b"))
    names = {rig.run("true", UV_PYTHON=str(path)).environment for path in (here, there, here)}
    assert len(names) == 2
    assert all(name.startswith(f"{rig.project}/.venv-") for name in names)
    assert rig.run("true", UV_PYTHON=str(here), UV_PROJECT_ENVIRONMENT="mine").environment == "mine"


@pytest.mark.parametrize("options", ["--group dev", "--all-groups", "--no-default-groups", "--only-group=test"])
def test_options_about_groups_are_the_users(rig: Rig, options: str) -> None:
    PLACES["python3.14t"](rig)
    assert rig.run(*options.split(), "pytest").args == f"{options} pytest"


def test_a_switch_of_the_gil_is_the_users(rig: Rig) -> None:
    PLACES["python3.14t"](rig)
    assert rig.run("true", PYTHON_GIL="1").gil == "1"


def test_a_name_that_stands_for_no_interpreter_is_passed_over(rig: Rig) -> None:
    """A shim fails; a build with the GIL may have been given the name."""
    rig.script(rig.bin / "python3.14t", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    rig.python(rig.bin / "python3.13t", "3.13.7")
    kept = PLACES["kept"](rig)
    assert rig.run("true").python == str(kept)


def test_an_interpreter_that_is_not_there_is_left_to_uv(rig: Rig) -> None:
    """uv says so; nothing else is taken in its place."""
    PLACES["kept"](rig)
    started = rig.run("true", UV_PYTHON="3.99")
    assert (started.python, started.args, started.environment, started.said) == ("3.99", "true", "", "")


def test_from_outside_pytest_runs_in_the_project(rig: Rig, tmp_path: Path) -> None:
    """Options before the command do not hide it."""
    rig.script(rig.bin / "uv", UV.replace('echo "$*"', 'echo "$(pwd -P)"'))
    link = tmp_path / "elsewhere"
    os.symlink(rig.project / "run", link)
    for args, stands in ((("--group", "pytest", "pytest"), rig.project), (("--group", "pytest", "true"), tmp_path)):
        done = subprocess.run(
            [str(link), *args],
            capture_output=True,
            text=True,
            env={"PATH": str(rig.bin), "TEST_MANAGED": "/nonexistent"},
            cwd=tmp_path,
            timeout=60,
            check=True,
        )
        assert done.stdout.splitlines()[0] == str(stands)
