"""bench/native.py: the C program builds without a warning, refuses nonsense, and its model fits one thread."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.native import IDLE, LOCKS, SOURCE, Point, figures, fitted, modelled, toml
from uvmfree.machine.costs import costs_for

ROOT = Path(__file__).resolve().parents[2]
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler called cc")
needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")

MEASURED = {
    "spin_pause": 25.0,
    "atomic": 2.0,
    "pair_ttas": 2.0,
    "pair_ticket": 2.0,
    "pair_mcs": 4.0,
    "line_cas": 50.0,
    "line_store": 50.0,
    "line_memory": 150.0,
    "wakeup": 3000.0,
    "zero_page": 130.0,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    built = str(tmp_path_factory.mktemp("native") / "steps")
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run(["cc", *flags, "-o", built, str(SOURCE)], check=True)
    return built


@needs_cc
@pytest.mark.parametrize(
    "args",
    [
        (),
        ("runs",),
        ("run", "shared"),
        ("run", "shared", "spin", "1", "0", "0", "1", "1"),
        ("run", "shared", "mcs", "3", "0", "0", "1", "1"),
        ("run", "shared", "mcs", "one", "0", "0", "1", "1"),
        ("run", "percpu", "mcs", "1", "0", "0", "0", "1"),
    ],
)
def test_nonsense_is_refused_in_a_line(program: str, args: tuple[str, ...]) -> None:
    ran = subprocess.run([program, *args], capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1


@needs_cc
@needs_two
@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize(("design", "threads"), [("shared", "1"), ("shared", "2"), ("percpu", "2")])
def test_each_design_runs_with_each_lock(program: str, design: str, lock: str, threads: str) -> None:
    args = [program, "run", design, lock, threads, "50", "200", "8", "64"]
    ran = subprocess.run(args, capture_output=True, text=True, timeout=50, check=False)
    if ran.returncode == 4:
        pytest.skip(ran.stderr.strip())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert all(float(line) > 100 for line in ran.stdout.splitlines())


@pytest.mark.parametrize("point", [Point("shared", "mcs", 50, 200), Point("percpu", "ttas", 0, 300, 8)])
def test_the_fit_gives_back_what_one_thread_took(point: Point) -> None:
    one = {IDLE: 8.0, point.alone: 308.0, point: 360.0}
    table = fitted(point, one, MEASURED)
    assert modelled(point, 1, table)[0] == pytest.approx(one[point], rel=0.03)


def test_two_threads_of_the_model_wait_for_each_other() -> None:
    """At a lock that is held nearly always, two threads do what one does, and a transfer an operation less."""
    point = Point("shared", "mcs", 1000, 10)
    table = fitted(point, {IDLE: 8.0, point.alone: 18.0, point: 1018.0}, MEASURED)
    assert modelled(point, 2, table)[0] > 2 * 1018


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("point", "own_ns", "shared"),
    [
        (Point("shared", "mcs", 50, 200), 100, 1.0),
        (Point("percpu", "ttas", 0, 300, 8), 115, 12 / 128),
        (Point("percpu", "ttas", 0, 300, 8, 32), 115, 4 / 64),
    ],
)
def test_an_operation_of_the_model_is_its_work_and_its_locks(
    point: Point, own_ns: int, shared: float, threads: int
) -> None:
    """Work takes 100 ns, a pair of lock operations 15, lines nothing.

    => In a burst a list of its own has twice the refill at most: of 64 pages 48 are fetched by eight, and go back so.
    """
    lines = ("line_core", "line_complex", "line_socket", "line_remote", "line_memory", "other_lines")
    pages = ("page_moved", "item_moved", "global_alloc", "global_free", "cached_alloc", "cached_free")
    free = dict.fromkeys((*lines, *pages, "global_outside", "jitter_percent"), 0.0)
    table = costs_for("xeon-2s").with_figures(
        {**free, "lock_acquire": 10, "lock_release": 5, "other_hold": 100}, "made"
    )
    ns, acquired = modelled(point, threads, table)
    assert acquired == pytest.approx(shared, abs=0.001)
    assert ns == pytest.approx(own_ns + 15 * acquired, abs=0.01)


def test_the_measured_costs_are_a_set(tmp_path: Path) -> None:
    file = tmp_path / "this-host.toml"
    file.write_text(toml(MEASURED))
    table = costs_for(file=file)
    assert {name: table.figures[name].value for name in figures(MEASURED)} == figures(MEASURED)
    assert "measured on" in table.figures["atomic"].source


def test_without_a_compiler_it_says_so() -> None:
    ran = subprocess.run(
        [sys.executable, "bench/native.py", "--smoke"],
        cwd=ROOT,
        # Without PYTHON_GIL a library would switch the GIL on, and the interpreter say so.
        env={
            "PATH": "/nonexistent",
            "PYTHONPATH": str(ROOT),
            **{name: value for name, value in os.environ.items() if name == "PYTHON_GIL"},
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "skipped: " in ran.stdout
    assert "not measured" in ran.stdout
