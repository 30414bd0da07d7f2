"""Figures that bench scripts work out themselves: on input made up by hand."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.depot_counts import Counts, Variant
from bench.grid import bulk as bulk_module
from bench.grid.bulk import bulk
from bench.grid.cell import GridCell
from bench.grid.kept import Kept, plain
from bench.grid.loads import outside
from bench.grid.picture import Axes
from bench.grid.point import CurveCell, with_cold_structs
from bench.grid.points import markdown as curve_page
from bench.grid.tables import markdown
from bench.harness import write_json
from bench.questions import colormiss_percent, stranded_long_ms, stranded_mean
from bench.real import runs
from tests.bench.scripted import Scripts
from tests.measure.curves import HOST, point
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.boot import boot
from uvmfree.workload.trace import ALLOC, FREE

ONE_LOCK = {"jitter_percent": 0.0}


def test_bulk_is_the_time_of_the_pages_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, without the work outside; a free and an allocation each by itself."""
    monkeypatch.setattr(bulk_module, "NPAGES", 4096)
    took = bulk("fpageqlock", 1, pages=1024, changed=ONE_LOCK)
    assert bulk("fpageqlock", 1, pages=768, changed=ONE_LOCK) == took
    slower = bulk("fpageqlock", 1, pages=768, changed={**ONE_LOCK, "lock_acquire": 1000.0})
    assert slower.alloc_ns - took.alloc_ns == slower.free_ns - took.free_ns > 900
    free = bulk("fpageqlock", 1, pages=768, changed={**ONE_LOCK, "global_free": 1000.0})
    assert free.alloc_ns == took.alloc_ns
    assert free.free_ns > took.free_ns + 900
    outside = bulk("fpageqlock", 1, pages=768, changed=ONE_LOCK, think_ns=100_000)
    assert 0 < outside.free_ns < 2 * took.free_ns


def test_a_cache_of_numbers_fetches_and_spills_half_of_what_it_may_keep() -> None:
    """16 credits of two units of 32 pages: 512 pages a hold."""
    counts = Counts(2, Variant(budget=False, lend=False))
    assert (counts.allowed(0), counts.allowed(1)) == (1024, 1024)
    for _ in range(512):
        counts.operate(0, 1)
    assert (counts.locks, counts.pages, counts.parked_max) == (1, [0, 0], 512)
    counts.operate(0, 1)
    assert (counts.locks, counts.pages) == (2, [511, 0])
    for _ in range(1023):
        counts.operate(1, -1)
    assert (counts.locks, counts.pages, counts.parked_max) == (2, [511, 1023], 511 + 1023)
    counts.operate(1, -1)
    assert (counts.locks, counts.pages) == (3, [511, 512])
    assert counts.operations == [513, 1024]
    assert Counts(64, Variant(budget=False)).allowed(0) == 1024
    assert Counts(64, Variant()).allowed(0) == 128  # of 128 pages a CPU in all


def test_exchanges_that_grow_double_while_they_go_one_way() -> None:
    counts = Counts(1, Variant(budget=False, lend=False, grow=True))
    assert [counts.exchange(0, way) for way in (1, 1, 1, 1, -1, -1, 1)] == [128, 256, 512, 512, 128, 256, 128]


@pytest.mark.parametrize(("how", "locks"), [(Variant(lend=False), 2), (Variant(lend=False, idle_return=False), 1)])
def test_what_idle_cpus_keep_goes_back(how: Variant, locks: int) -> None:
    """CPU 0 fetches some and is idle from then on, CPU 1 frees one 300 ms later; runs of pages are left out."""
    times_ns = [0, 200_000_000, 300_000_000]
    trace: Any = SimpleNamespace(
        ncpus=2, cpu=[0, 1, 1], task=[0, 0, 0], time_ns=times_ns, kind=[ALLOC, ALLOC, FREE], order=[0, 9, 0]
    )
    counts = Counts(2, how)
    assert counts.play(trace) == 1000 * locks / 2
    assert counts.operations == [1, 1]


def samples_of(**given: Any) -> Any:
    """A run of 6 ms with 500 pages, of which 10, 5, then 30 were out of some CPU's reach."""
    samples = SimpleNamespace(t_ns=(0, 2_000_000, 6_000_000), cached=((10, 3, 30), (0, 5, 30), (7, 0, 40)))
    return SimpleNamespace(samples=samples, uvmexp=SimpleNamespace(npages=500, **given))


def test_stranded_pages_are_weighed_by_time() -> None:
    run = samples_of()
    # 17 pages for 2 ms, then 8 for 4; above a hundredth of 500 all the time, of 1,700 never.
    assert stranded_mean(run, None) == pytest.approx((17 * 2 + 8 * 4) / 6)  # type: ignore[arg-type]
    assert stranded_long_ms(run, None) == 6  # type: ignore[arg-type]
    run.uvmexp.npages = 800
    assert stranded_long_ms(run, None) == 2  # type: ignore[arg-type]
    run.uvmexp.npages = 1700
    assert stranded_long_ms(run, None) == 0  # type: ignore[arg-type]


def test_wrong_colours_are_a_share_of_those_that_were_due() -> None:
    assert colormiss_percent(samples_of(colorhit=3, colormiss=1), None) == 25  # type: ignore[arg-type]


def test_outside_are_caches_and_what_is_parked_between_them() -> None:
    uvm: Any = SimpleNamespace(cached_pages=lambda: (3, 4), design=SimpleNamespace(parked=lambda: 5))
    assert outside(uvm) == 12


def test_the_page_of_designs_has_each_figure_in_its_table() -> None:
    kept = Kept(None, "./run it")
    cells = [
        GridCell("percpu", "trace", "a.perf.xz"),
        GridCell("percpu", "trace", "a.perf.xz", 4),
        GridCell("percpu", "pressure"),
    ]
    figures = {
        "held_items_p50": 1,
        "held_items_p99": 32,
        "held_items_max": 64,
        "moved_per_op": 0.5,
        "warm_percent": 91.26,
        "color_right_percent": 97.04,
        "runs_met": 1022,
        "runs_asked": 1024,
        "failed_while_free_elsewhere": 3,
        "free_512_blocks": 7,
    }
    pressed = {
        "page_locks_per_op": 0.125,
        "moved_per_op": 0.25,
        "parked_pages_max": 4000,
        "parked_pages_mean": 99.6,
        "waits": 1234,
        "wait_longest_ms": 1.5,
        "free_512_blocks": 2,
    }
    for cell, found in zip(cells, (figures, {"free_512_blocks": 5}, pressed), strict=True):
        kept.cells[str(cell)] = {"figures": found}
    page = markdown(kept.document(), cells, ())
    sections = {title: text for title, _, text in (part.partition("\n") for part in page.split("\n## ")[1:])}
    rows = {
        title: [line for line in text.splitlines() if line.startswith("| percpu")] for title, text in sections.items()
    }
    assert rows == {
        "Shared locks per page operation": ["| percpu | - | - | - | 0.12500 |"],
        "Items in a hold of a shared lock": ["| percpu | 1 / 32 / 64 | - | - | - |"],
        "Pages moved per page operation": ["| percpu | 0.5000 | - | - | 0.2500 |"],
        "Pages parked": ["| percpu | - | - | - | 4,000 / 100 |"],
        "Warmth": ["| percpu | 91.3 | - | - | - |"],
        "Colour": ["| percpu | 97.0 | - | - | - |"],
        "Order > 0": ["| percpu | 1,022 of 1,024 | - | - | - |"],
        "Failed allocations": ["| percpu | 3 | - | - | - |"],
        "Waits": ["| percpu | - | - | - | 1,234 / 1,500 |"],
        "Free blocks left": ["| percpu | 7 / 5 | - | - | 2 |"],
    }


def test_the_page_of_the_curve_has_work_and_waiting() -> None:
    kept = Kept(None, "./run it")
    cells = []
    for ncpus, work, waiting in ((2, 2.0, 0.0), (4, 3.5, 5.0), (8, 4.0, 40.0), (16, 6.4, 60.0), (32, 6.4, 80.0)):
        cells.append(CurveCell("percpu", "cc-j4.perf.xz", ncpus, "ttas"))
        waited_ns, outside_ns = round(ncpus * waiting * 10_000), round(work * 1_000_000)
        words_ns = ncpus * (20_000 if ncpus == 32 else 9_000)
        one = point("percpu", ncpus, 9, outside_ns=outside_ns, wait_ns=waited_ns, words_wait_ns=words_ns)
        kept.cells[str(cells[-1])] = {"point": plain(asdict(one))}
    lines = curve_page({**kept.document(), "host": plain(asdict(HOST))}, cells, ()).splitlines()
    at = lines.index("## cc-j4, ttas")
    heads, _, row = lines[at + 2 : at + 5]
    assert heads.startswith("| design | 4 CPUs | 8 CPUs | 16 CPUs | 32 CPUs |")
    assert row == "| percpu | 3.5, 5.0 % | 4.0, 40.0 % | 6.4, 60.0 % | 6.4, 80.0 + 2.0 % | 4 / 16 |"


def test_the_page_of_the_curve_says_what_cold_structs_cost() -> None:
    """Beside the curve, and in no band: half of the work on one trace; on the other nothing is kept to compare."""
    kept = Kept(None, "./run it")
    cells = [CurveCell("percpu", f"{trace}.perf.xz", 32, "ttas") for trace in ("cc-j4", "java-build")]
    cold = [with_cold_structs(cell) for cell in cells]
    for cell, work, wait_ns in ((cells[0], 20.0, 0), (cold[0], 10.0, 32 * 250_000), (cold[1], 10.0, 0)):
        one = point("percpu", 32, 9, outside_ns=round(work * 1_000_000), wait_ns=wait_ns, changed=cell.changed)
        kept.cells[str(cell)] = {"point": plain(asdict(one))}
    page = curve_page({**kept.document(), "host": plain(asdict(HOST))}, cells + cold, ())
    lines = page.splitlines()
    assert "| percpu | 20.0, 0.0 % | 32 / > 32 |" in lines
    at = lines.index("## Page structs that no cache holds, 32 CPUs, ttas")
    assert "touched 1,764 other pages" in lines[at + 2]
    assert [lines[at + 6], lines[at + 8]] == ["| design | cc-j4 | java-build |", "| percpu | 50.0 %, 25.0 % | - |"]
    without = curve_page({**kept.document(), "host": plain(asdict(HOST))}, cells, ())
    assert "no cache holds" not in without


def test_what_seeds_and_hunts_came_to_is_written_with_its_rates(script: Scripts, tmp_path: Path) -> None:
    seeds = script("seeds").has(
        SEEDS_FILE=tmp_path / "seeds.json", BUGS_FILE=tmp_path / "bugs.json", DOC=tmp_path / "page.md"
    )
    about = {"command": "./run it", "host": plain(asdict(HOST)), "seconds": 0.02}
    played: dict[str, Any] = {"failure": None, "seeds": "1-1000", "runs": 1000, "designs": ["percpu", "depot"]}
    played |= {"steps": 123_456, "injected": 789, "virtual_s": 20.0, "host_s": 80.0}
    write_json(tmp_path / "seeds.json", about | played)
    hunts = {
        "lost_wakeup": {
            "virtual": {"found": True, "after": 3, "most": 20},
            "schedules": {"found": False, "most": 3000},
            "threads": {"why": "ended"},
        },
        "late_store": {
            "virtual": {"found": False, "most": 20},
            "schedules": {"found": True, "after": 41, "most": 3000},
        },
    }
    write_json(tmp_path / "bugs.json", about | {"bugs": hunts})
    (tmp_path / "page.md").write_text("before\n<!-- bench/seeds.py -->\nold\n<!-- end -->\nafter\n")
    seeds.module.written()
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n<!-- bench/seeds.py -->\nSeeds 1-1000 found nothing: 1,000 runs of 0.02 s")
    assert page.endswith("<!-- end -->\nafter\n")
    assert "| 123,456 | 789 | 20.0 | 80 | 0.2500 |" in page
    assert "1 of 2 (virtual time, seeds), 1 of 2 (PCT, schedules)." in page
    assert "| lost wakeup | 3 | not in 3000 | ended |" in page
    assert "| late store | not in 20 | 41 | - |" in page
    assert (tmp_path / "seeds.md").read_text() in page


def test_a_picture_has_decades_at_even_steps() -> None:
    axes = Axes(0, 4, -3, 0)
    assert (axes.x(1), axes.x(100), axes.x(10_000)) == (70, 370, 670)
    assert (axes.y(1), axes.y(0.001)) == (40, 500)


def test_a_rate_is_of_one_cpu_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local bursts: as many operations on each CPU, and nobody waits."""
    monkeypatch.setattr(runs, "boot", lambda *machine, **sizes: boot(*machine, **{**sizes, "npages": 4096}))
    one, two = (
        runs.once("percpu, refill 32", "pingpong", ncpus, 512, VirtualMachine(ncpus=ncpus, lockstat=True))
        for ncpus in (1, 2)
    )
    assert two[0] == pytest.approx(one[0], rel=0.15)
    assert (one[1], two[1]) == (0, 0)
