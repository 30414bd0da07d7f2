"""What scripts of bench/ print of rates and times that are made up, a line for each design, size or part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Scripts
from tests.measure.curves import point

Lines = Callable[[], list[str]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return what was printed since, by lines."""
    return lambda: capsys.readouterr().out.splitlines()


def test_scaling_prints_each_design_on_one_cpu_and_on_two(
    script: Scripts, printed: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    rates = {
        "percpu": (100.0, 170.0),
        "fpageqlock": (50.0, 60.0),
        "nothing shared": (10.0, 19.0),
        "xnu": (40.0, 30.0),
    }
    pages = []

    def rate(design: str, ncpus: int, number: int, beside: Any) -> float:
        pages.append(number)
        beside.cpus_had.append(ncpus - 0.25)
        beside.hits_percent = None if design == "nothing shared" else 12.5
        return rates[design][ncpus - 1]

    scaling = script("scaling").has(
        gil_enabled=lambda: False, rate=rate, REGISTRY=dict.fromkeys(("fpageqlock", "percpu", "xnu")), REPETITIONS=2
    )
    assert [record.measured for record in scaling.module.bench(False)] == [1.7, 1.2, 1.9, 0.75, 1.7, 170 / 60]
    assert [" ".join(line.split()) for line in printed()] == [
        "thousand page operations a second, how many CPUs the run had, hits of own lists (R11)",
        "percpu, 1 CPU 100 [100-100] 0.75 [0.75-0.75] 12.5 %",
        "percpu, 2 CPU 170 [170-170] 1.75 [1.75-1.75] 12.5 %",
        "fpageqlock, 1 CPU 50 [50-50] 0.75 [0.75-0.75] 12.5 %",
        "fpageqlock, 2 CPU 60 [60-60] 1.75 [1.75-1.75] 12.5 %",
        "nothing shared, 1 CPU 10 [10-10] 0.75 [0.75-0.75]",
        "nothing shared, 2 CPU 19 [19-19] 1.75 [1.75-1.75]",
        "xnu, 1 CPU 40 [40-40] 0.75 [0.75-0.75] 12.5 %",
        "xnu, 2 CPU 30 [30-30] 1.75 [1.75-1.75] 12.5 %",
        "percpu over fpageqlock on 1 CPU, where nobody waits: 2.00 [2.00-2.00]",
        "fpageqlock, 2 CPUs against 1: 1.20 [1.20-1.20]",
        "nothing shared, 2 CPUs against 1: 1.90 [1.90-1.90]",
        "xnu, 2 CPUs against 1: 0.75 [0.75-0.75]",
    ]
    assert pages == [scaling.module.PAGES] * 8 * 3  # one of three warms up
    scaling.has(rate=lambda design, *rest: 1.0 if design == "xnu" else rate(design, *rest))
    assert [record.holds for record in scaling.module.bench(True)] == [None] * 5
    short = [line for line in printed() if "xnu" in line]
    assert (short, pages[24:]) == ([], [scaling.module.PAGES_SMOKE] * 6)


@pytest.mark.parametrize(
    ("gil", "cpus", "why"),
    [
        (True, {0, 1}, "the GIL is on, threads take turns"),
        (False, {0}, "there is one CPU"),
    ],
)
def test_scaling_is_not_measured_where_threads_take_turns(
    script: Scripts, printed: Lines, monkeypatch: pytest.MonkeyPatch, gil: bool, cpus: set[int], why: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)
    scaling = script("scaling").has(gil_enabled=lambda: gil, rate=None)
    assert {record.measured for record in scaling.module.bench(False)} == {None}
    assert printed() == [f"  not measured: {why}, so nothing here says how a design scales"]


def test_tight_memory_prints_each_workload_with_each_design(script: Scripts, printed: Lines, tmp_path: Path) -> None:
    (tmp_path / "b.perf.xz").touch()
    (tmp_path / "a.perf.xz").touch()

    def from_trace(trace: Any, ncpus: int = 4, by: str = "cpu") -> Any:
        return SimpleNamespace(ncpus=ncpus, by=by)

    dealt = []

    def failures(workload: Any, design: str) -> tuple[int, int, int]:
        dealt.append(getattr(workload, "by", ""))
        return 1000 * workload.ncpus, 10 + workload.ncpus, workload.ncpus // 4

    tight = script("tight").has(
        TRACES=tmp_path,
        CPUS=(4, 8),
        CLAIMING=("depot", "xnu"),
        read_trace=lambda file: SimpleNamespace(ncpus=4),
        from_trace=from_trace,
        by_name=lambda kind, ncpus, on: SimpleNamespace(ncpus=ncpus),
        failures=failures,
    )
    (record,) = tight.module.bench(False)
    assert (record.measured, record.holds) == (2, False)
    head, *lines = (line.split() for line in printed())
    assert head == ["workload", "CPUs", "design", "pages", "failed", "falsely"]
    assert lines == [
        [name, str(ncpus), design, str(1000 * ncpus), str(10 + ncpus), str(ncpus // 4)]
        for name in ("a", "b", "pingpong", "handoff", "forkexit")
        for ncpus in (4, 8)
        for design in ("depot", "xnu")
    ]
    assert dealt[:4] == ["cpu", "cpu", "task", "task"]  # on its own CPUs as it was recorded


def test_stores_of_sockets_are_printed_beside_one_store(script: Scripts, printed: Lines) -> None:
    one = point("depot", 64, 2000, wait_ns=640_000, held_ns=250_000, shared_acquired=100)
    each = point("depot", 64, 3000, wait_ns=320_000, held_ns=125_000, shared_acquired=60)
    numa = script("numa").has(CPUS=(64,), points=lambda trace, ncpus: (one, each))
    work, waits = numa.module.bench(False)
    assert (work.measured, waits.measured) == (1.5, 0.5)
    sockets = str(numa.module.SOCKETS)
    assert [line.split() for line in printed()] == [
        ["CPUs", "stores", "ops/us", "waiting", "%", "busy", "%", "locks/op"],
        ["64", "1", "2.000", "1.000", "25.00", "0.05000"],
        ["64", sockets, "3.000", "0.500", "12.50", "0.02000"],
    ]


def test_the_floor_prints_what_each_part_takes(script: Scripts, printed: Lines) -> None:
    ran: list[dict[str, int]] = []

    def alternating(measures: Mapping[str, Any], slices: int) -> dict[str, float]:
        ran.append({name: measure.args[1] for name, measure in measures.items()})
        measures["local pair"]()
        return {name: 10.0 * at + len(ran) for at, name in enumerate(measures, 1)}

    floor = script("floor").has(alternating=alternating, SLICES=1, SLICE_PAIRS=200, SLOW=20, REPETITIONS=3)
    (record,) = floor.module.bench(False)
    # Of a pair of 20 and of 30 ns the empty loop takes 10 away; the first series warms up.
    assert (record.measured, len(ran)) == (2, 4)
    assert ran[0] == dict.fromkeys(ran[0], 200) | {"counter, public": 10}
    assert [line for line in printed() if line.endswith(" ns")] == [
        "  empty loop               13 [12-14] ns",
        "  floor pair               23 [22-24] ns",
        "  local pair               33 [32-34] ns",
        "  lock pair, with          43 [42-44] ns",
        "  lock pair, bound calls   53 [52-54] ns",
        "  counter, direct          63 [62-64] ns",
        "  counter, public          73 [72-74] ns",
    ]
    floor.has(alternating=lambda measures, slices: dict.fromkeys(measures, 1.0))
    with pytest.raises(RuntimeError, match="not all were local hits: 0 misses"):
        floor.module.bench(False)


def test_a_splice_prints_both_sizes_and_fills_before_each_shot(script: Scripts, printed: Lines) -> None:
    """Shots of both sizes in turn, there and back; the first repetition warms up."""
    steps: list[str] = []
    took: Iterator[float] = iter([900.0] * 4 + [8.0, 2.0, 4.0, 12.0])

    def once_us(uvm: Any, pages: int) -> float:
        steps.append(f"shot {pages}")
        return next(took)

    splice = script("splice").has(
        FEW_PAGES=10,
        MANY_PAGES=1000,
        SHOTS=2,
        REPETITIONS=1,
        boot=lambda **_: SimpleNamespace(audit=lambda: steps.append("audit"), close=lambda: steps.append("close")),
        fill=lambda uvm, pages: steps.append(f"fill {pages}"),
        once_us=once_us,
    )
    (record,) = splice.module.bench(False)
    assert record.measured == pytest.approx(10 / 3)
    assert printed() == ["       10 pages: 3.0 [3.0-3.0] us", "    1,000 pages: 10.0 [10.0-10.0] us"]
    fills = ["fill 10", "fill 1000"]
    once = [*fills, "shot 1000", "shot 10", *fills, "shot 10", "shot 1000"]
    assert steps == [*once, *once, "audit", "audit", "close", "close"]


@pytest.mark.parametrize("cached", [50, 51])
def test_a_splice_moves_what_the_cache_was_filled_with(script: Scripts, cached: int) -> None:
    """The other CPU's cache is emptied before, outside of what is timed."""
    splice = script("splice").module
    with splice.boot(npages=256, ncpus=2, design="percpu") as uvm:
        splice.fill(uvm, cached)
        held: Sequence[int] = uvm.cached_pages()
        assert list(held) == [cached, 8]
        if cached == 50:
            assert splice.once_us(uvm, 50) > 0
            assert uvm.cached_pages() == (0, 0)
        else:
            with pytest.raises(RuntimeError, match="51 pages moved, 50 were cached"):
                splice.once_us(uvm, 50)
