"""Which cells the scripts in virtual time measure: all that their pages show, and no more."""

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import curve, designs, linux, steps
from bench.grid import code
from uvmfree.workload.trace import bundled_trace

TRACE = "traces/cc-j4.perf.xz"
JAVA = "traces/java-build.perf.xz"


def test_the_curve_has_its_largest_count_under_ttas_and_with_full_under_both() -> None:
    usual = curve.grid(["percpu"], [TRACE], full=False)
    counts = {
        lock: sorted(cell.ncpus for cell in usual if cell.lock == lock and not cell.changed)
        for lock in ("ttas", "mcs")
    }
    assert counts == {"ttas": [2, 8, 16, 32, 64, 256], "mcs": [2, 8, 16, 32, 64]}
    assert [cell.ncpus for cell in usual][:2] == [256, 64]  # the largest first
    full = curve.grid(["percpu"], [TRACE], full=True)
    more = Counter((cell.lock, cell.ncpus) for cell in full) - Counter((cell.lock, cell.ncpus) for cell in usual)
    assert more == Counter([("ttas", 128), ("mcs", 128), ("mcs", 256), *[("mcs", 32)] * 8])
    assert {cell.trace for cell in curve.small(["percpu"])} == {str(bundled_trace())}


def test_the_band_is_of_one_count_under_ttas_of_the_traces_that_fill_a_lock() -> None:
    """Each group of costs is halved, and doubled, once; with `full` for both policies and all traces."""
    cells = curve.grid(["percpu"], [TRACE], full=False)
    varied = [cell for cell in cells if cell.changed and not cell.cold]
    assert {(cell.ncpus, cell.lock) for cell in varied} == {(32, "ttas")}
    assert len({str(cell) for cell in varied}) == len(varied) == len(cells) - 12 == 8
    assert all(cell.case().varied for cell in varied)
    java = [
        Counter(cell.lock for cell in curve.grid(["percpu"], [JAVA], full=full) if cell.changed and not cell.cold)
        for full in (False, True)
    ]
    assert java == [{}, {"ttas": 8, "mcs": 8}]


@pytest.mark.parametrize("full", [False, True])
def test_structs_drop_out_of_caches_once_on_each_trace(full: bool) -> None:
    cold = [cell for cell in curve.grid(["percpu", "depot"], [TRACE, JAVA], full=full) if cell.cold]
    assert {(cell.design, cell.trace_name) for cell in cold} == {
        (design, trace) for design in ("percpu", "depot") for trace in ("cc-j4", "java-build")
    }
    assert {(cell.ncpus, cell.lock, *cell.changed) for cell in cold} == {(32, "ttas", "cold_after_pages")}
    assert len(cold) == 4


def test_the_table_has_each_design_on_each_load_and_each_limit() -> None:
    cells = designs.grid(["percpu", "depot"], ["a.perf.xz", "b.perf.xz"])
    names = [str(cell) for cell in cells if cell.design != "limit"]
    loads = ["a", "b", "a, 4 passes", "b, 4 passes", "handoff", "forkexit", "pressure", "exit"]
    assert sorted(names) == sorted(f"{design}: {load}" for design in ("percpu", "depot") for load in loads)
    assert [cell.load_name for cell in cells if cell.design == "limit"] == ["a", "b"]
    assert [cell.passes for cell in cells[:4]] == [4] * 4  # the long ones first
    few = designs.small(["percpu"])
    assert [(cell.design, cell.load, cell.trace) for cell in few] == [
        ("percpu", "trace", str(bundled_trace())),
        ("limit", "limit", str(bundled_trace())),
    ]


def test_the_steps_are_on_two_cpus_on_many_and_short_of_memory() -> None:
    cells = steps.grid([TRACE, "untar-scan.perf.xz"])
    on: dict[tuple[str, int], list[Any]] = {}
    for cell in cells:
        on.setdefault((cell.load_name, cell.ncpus), []).append((cell.design, cell.settings))
    every = list(steps.STEPS.values())
    assert on == {
        ("cc-j4", 256): every,
        ("cc-j4", 2): every,
        ("untar-scan", 2): every,
        ("pressure", 4): [("fpageqlock", ())],
    }


def test_each_difference_from_the_recorded_kernel_is_a_run_of_its_own() -> None:
    cells = linux.cells_of(TRACE, linux.NPAGES, linux.ROWS)
    assert len({str(cell) for cell in cells.values()}) == len(linux.ROWS)
    plain = cells[linux.EMPTY]
    assert (plain.stock, plain.marks, plain.passes, plain.npages) == (False, "", 1, linux.NPAGES)
    assert cells["half the RAM"].npages == linux.NPAGES // 2


def mark_of(root: Path, text: str, imported: str = "y = 1") -> str:
    """The mark of a module with this text, which imports another one, by a code.py that has seen neither."""
    spec = importlib.util.spec_from_file_location("fresh_code", Path(code.__file__))
    assert spec is not None
    assert spec.loader is not None
    fresh: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    fresh.ROOT = root
    (root / "bench").mkdir(exist_ok=True)
    (root / "bench" / "made.py").write_text(f"from bench.other import y\n{text}\n")
    (root / "bench" / "other.py").write_text(f"{imported}\n")
    return str(fresh.code_of("bench.made", "of none"))


def test_the_mark_of_a_cell_changes_with_the_code_that_it_runs_and_not_with_what_is_said_of_it(
    tmp_path: Path,
) -> None:
    mark = mark_of(tmp_path, "def f(): return y")
    assert mark_of(tmp_path, "def f(): return y + 1") != mark
    assert mark_of(tmp_path, "def f(): return y", "y = 2") != mark
    assert mark_of(tmp_path, '# More.\ndef f():\n    """Say so."""\n    return y', '"""Other."""\ny = 1') == mark
