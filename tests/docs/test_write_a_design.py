"""docs/write-a-design.md, word for word: its code is a package, its commands run, the contract holds for it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest

from uvmfree.design import Walked

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/write-a-design.md").read_text()
BOUND_S = 100
UV = shutil.which("uv") or shutil.which(str(ROOT / ".uv/bin/uv"))
TYPED = ["check-design", "bench", "bench", "stress"]
"""What the page has one type."""
LINES_MAX = 60
COLUMNS = 88

RACKS = """
from uvmfree.design import UVM_CPU, UVM_FPAGEQLOCK, shared_lock

{tunable}

TRAYS = shared_lock("trays", "the rack", "after the CPU's lock")

{rack}

class RacksCpu(BatchesCpu):
    __slots__ = ("_rack_lock",)

    def setup(self):
        self._rack_lock, self._lock = (self.handle(lock, "uvm_pagealloc") for lock in self._design.shared_locks)

    def _get(self, want, start):
        came = False
        for row in want.freelists:
            if self._stacks[row] or (came := self._unracked(row)):
                break
        found = super()._get(want, start)
        return found and (*found[:2], found[2] and not came)

    def _unracked(self, row):
        rack = self._design.rack
        with self._rack_lock:
            at = next((at for at, tray in enumerate(rack.trays) if tray.free_list == row), None)
            tray = None if at is None else rack.trays.pop(at)
            rack.items_touched += tray is not None
        if tray is None:
            return False
        tray.owner = self.index
        self._stacks[row] = tray
        self.filled += len(tray)
        return True

    def _put(self, pg, queue):
        stack, batch = self._stacks[pg.free_list], self._design.tunables.batch
        if len(stack) < 4 * batch or len(self._design.rack.trays) > 4:
            return super()._put(pg, queue)
        stack.put(pg)
        tray = PageList(Place.CACHED, None, UNKNOWN, pg.free_list)
        tray.adopt(stack[:batch])
        stack[:batch] = []
        with self._rack_lock:
            self._design.rack.push(tray)
        self.drained += batch


class Racks(Batches):
    name = "racks"
    cpu_class = RacksCpu
    Tunables = BatchesTunables
    LOCKS = (UVM_CPU, TRAYS, UVM_FPAGEQLOCK)

    def empty(self):
        super().empty()
        self.rack = Rack()

    def lists(self):
        yield from (*super().lists(), *self.rack.trays)

    def walk(self):
        for walked in super().walk():
            racked = any(walked.pages is tray for tray in self.rack.trays)
            yield replace(walked, where="the rack", place=Place.CACHED) if racked else walked

    def parked(self):
        return sum(map(len, self.rack.trays))

    def remove(self, pages):
        while self.rack.trays:
            self.splice(self.rack.trays.pop())
        super().remove(pages)

{methods}
"""
"""A design with all that the page says of a cache that CPUs share, and of a tunable."""


def blocks(language: str) -> list[str]:
    """Return the page's blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[list[str]]:
    """Return what the page has one type."""
    return [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]


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
    """As a reader counts them: all that is to be saved, blank lines too, and none that is two or three in one."""
    lines = (package / "batches.py").read_text().splitlines()
    assert len(lines) <= LINES_MAX
    assert [line for line in lines if len(line) > COLUMNS] == []
    assert "fmt: " not in TEXT


@pytest.mark.sampled(1)
@pytest.mark.parametrize("number", range(1, len(TYPED)))
def test_every_command_of_the_page_runs(package: Path, number: int) -> None:
    """Where the file was saved, before it is installed anywhere; the first is run with the mistake, below."""
    typed = commands()
    assert [command[1] for command in typed] == TYPED
    assert "batches" in run(sys.executable, "-m", "uvmfree", *typed[number][1:], cwd=package)


@pytest.mark.timeout(4 * BOUND_S)
@pytest.mark.rotated(3)
def test_an_installed_package_brings_it_by_name(package: Path, tmp_path: Path) -> None:
    """The contract holds for what is installed, and every command takes it."""
    if UV is None:
        pytest.skip("no uv here: ./run brings one")
    site = tmp_path / "site"
    install = [UV, "pip", "install", "-q", "--no-deps", "-p", sys.executable, "--target", str(site)]
    run(*install, str(package), cwd=tmp_path, path=package)
    uvmfree = [sys.executable, "-m", "uvmfree"]
    judged = run(*uvmfree, "check-design", "batches", cwd=tmp_path, path=site)
    assert re.search(r"^batches: \d\d+ tests of the contract hold, 0 fail", judged, re.MULTILINE)
    bench = ["bench", "--machine", "virtual", "--design", "batches", "--workload", "handoff", "--repetitions", "1"]
    assert "batches" in run(*uvmfree, *bench, cwd=tmp_path, path=site)


@pytest.mark.timeout(2 * BOUND_S)
@pytest.mark.rotated(2)
def test_a_mistake_is_told_with_the_rule_that_it_breaks(package: Path, tmp_path: Path) -> None:
    """The one that the page has one try, with its own command."""
    wrong = (package / "batches.py").read_text().replace("self.took(len(stack))", "pass")
    (tmp_path / "batches.py").write_text(wrong)
    check = commands()[0]
    assert check == ["uvmfree", "check-design", "batches:Batches"]
    command = [sys.executable, "-m", *check]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=2 * BOUND_S, check=False
    )
    assert done.returncode == 1
    assert re.search(r"^fails  test_\w+\.py::test_\w+\n       .*R\d+", done.stdout, re.MULTILINE)


@pytest.mark.timeout(4 * BOUND_S)
@pytest.mark.rotated(3)
def test_a_shared_cache_as_the_page_has_it_holds(package: Path, tmp_path: Path) -> None:
    tunable, rack, *methods = blocks("py")
    text = RACKS.format(tunable=tunable, rack=rack, methods=textwrap.indent("\n".join(methods), "    "))
    text = (package / "batches.py").read_text() + text
    (tmp_path / "racks.py").write_text(text)
    has = "import racks; assert {'__init__', 'guarded', 'redistribute'} <= vars(racks.Racks).keys()"
    run(sys.executable, "-c", has, cwd=tmp_path, path=tmp_path)
    check = [sys.executable, "-m", "uvmfree", "check-design", "racks:Racks"]
    assert re.search(r"racks:Racks: \d\d+ tests of the contract hold, 0 fail", run(*check, cwd=tmp_path))
    bench = [
        "bench",
        "--machine",
        "virtual",
        "--design",
        "racks:Racks",
        "--set",
        "racks.batch=8",
        "--workload",
        "handoff",
        "--repetitions",
        "1",
    ]
    assert "trays" in run(sys.executable, "-m", "uvmfree", *bench, cwd=tmp_path)


def test_the_page_names_what_an_audit_reads_of_a_list() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXT.partition("### A cache that CPUs share")[2], re.MULTILINE)
    assert rows == [field.name for field in fields(Walked)]


def test_prose_has_88_columns() -> None:
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > COLUMNS and not line.startswith("|")] == []
