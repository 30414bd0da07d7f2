"""What scripts of bench/ print beside their records, whole, of figures that are made up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.bench.scripted import Script, Scripts
from tests.bench.test_claims_of_cells import filled


class Idle:
    """A system that nothing is asked of."""

    def __enter__(self) -> Idle:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    close = audit = lambda self: None


Lines = Callable[[], list[str]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return what was printed since, by lines."""
    return lambda: capsys.readouterr().out.splitlines()


def test_contiguous_allocation_prints_each_design_with_its_locks(script: Scripts, printed: Lines) -> None:
    took = iter([3.0, 8.0, 5.0, 6.0, 99.0, 99.0])  # the designs in turn, twice; then two whose locks are watched
    holds, refusals = iter([(1234.0, 5678.4), (10.0, 20.0)]), iter([7.25, 8.5])
    pglist = script("pglist").has(
        REPETITIONS=2,
        half_used=lambda *_, **__: Idle(),
        shots_ms=lambda uvm, shots: [0.0, (one := next(took)), 10 * one],
        hold_us=lambda uvm: next(holds),
        refused_ms=lambda uvm: next(refusals),
    )
    pglist.module.bench(False)
    said = [line for line in printed() if "not judged" not in line]
    assert said == [
        "  fpageqlock   median 4.000 [3.000-5.000] ms, longest 40.0 [30.0-50.0] ms; locks held 1,234 us, at most "
        "5,678 us; refused after 7.2 ms where there is no run",
        "  percpu       median 7.000 [6.000-8.000] ms, longest 70.0 [60.0-80.0] ms; locks held 10 us, at most 20 us; "
        "refused after 8.5 ms where there is no run",
    ]


@pytest.mark.parametrize(("block", "freed"), [(1, 16), (4, 12)])
def test_half_of_the_memory_is_used_in_blocks(script: Scripts, block: int, freed: int) -> None:
    """Of 32 pages every second one is freed; of seven blocks of four, since the last one stays, any three.

    => One page more is free: that which is kept for the pagedaemon.
    """
    pglist = script("pglist").module
    with pglist.half_used(32, block, "percpu", lockstat=False) as uvm:
        uvm.audit()
        uvm.redistribute()
        assert uvm.uvmexp.free == freed + 1
        if block == 1:
            assert pglist.refused_ms(uvm) > 0


def test_boot_prints_what_it_weighs_and_takes(script: Scripts, printed: Lines) -> None:
    looks = iter([5_000_000, 5_150_000])
    boots = script("boot").has(
        PAGES=1000,
        boot=lambda **_: Idle(),
        resident_bytes=lambda: next(looks),
        interleaved=lambda measures, repetitions, warm_up: {name: [1.0, 2.5, 4.0] for name in measures},
        tracemalloc=SimpleNamespace(
            start=lambda: None,
            stop=lambda: None,
            get_traced_memory=iter([(500, 900), (151_500, 200_500), (0, 0), (99_000, 100_000)]).__next__,
        ),
    )
    weights = boots.module.bench(False)[1]
    assert printed() == [
        "  the process grew by 150 bytes a page",
        "  fpageqlock   2.500 [1.000-4.000] s for 1,000 pages",
        "  percpu       2.500 [1.000-4.000] s for 1,000 pages",
        "  fpageqlock   151.0 bytes a page, 200.0 at the peak",
        "  percpu       99.0 bytes a page, 100.0 at the peak",
    ]
    assert weights.measured == 151


def test_linux_prints_each_trace_and_what_each_difference_makes_of_it(script: Scripts, printed: Lines) -> None:
    linux = script("linux").has(
        NPAGES=4096,
        ROWS={"from nothing": {}, "its own sets": {"stock": True}, "half the RAM": {"npages": 2048}},
        EMPTY="from nothing",
        KNOWN="its own sets",
        found_traces=lambda *_: (["a.perf.xz", "b.perf.xz"], ["c", "d"]),
        recorded=lambda trace: SimpleNamespace(moved_per_op={"a": 0.25, "b": 0.5}[trace[0]]),
        fill=filled(
            lambda cell: {
                "moved_per_op": {"a": 0.125, "b": 0.75}[cell.trace[0]] + cell.stock / 8 + (cell.npages < 4096) / 16
            }
        ),
    )
    records = linux.module.bench(SimpleNamespace(traces=[], keep=False), False)
    assert [record.measured for record in records] == [0, 0.25]
    assert printed() == [
        "",
        "linux_pcp, 4,096 pages of RAM: pages moved per page operation",
        "    trace             recorded     empty   its own   outside",
        "    a                   0.2500    0.1250    0.2500    0.0000",
        "    b                   0.5000    0.7500    0.8750    0.2500",
        "",
        "each difference alone: pages moved per page operation",
        "    from empty sets                                a               b",
        "    recorded                                  0.2500          0.5000",
        "    from nothing                              0.1250          0.7500",
        "    its own sets                              0.2500          0.8750",
        "    half the RAM                              0.1875          0.8125",
        "left out, since the files were not there: c, d",
    ]


def test_the_observer_prints_its_samples_and_its_cost_by_other_clocks(script: Scripts, printed: Lines) -> None:
    observer = script("observer_cost")
    found = iter(
        observer.module.Costs(watched=(20.0 + at, 10.0 + at, 30.0 + at), stored=5.0 + at, samples_per_s=400.0 + at)
        for at in (99, 1, 2, 3)  # the first one warms up
    )
    observer.has(costs=lambda *_: next(found), REPETITIONS=3)
    (record,) = observer.module.bench(False)
    assert (record.measured, record.values) == (22, (21, 22, 23))
    assert printed() == [
        "  402 [401-403] samples a second",
        "  by processor time: the thread 12.00 [11.00-13.00] %, the whole process 32.00 [31.00-33.00] %",
        "  a word of the counter page stored twice a pair instead: 7.00 [6.00-8.00] %",
    ]


def lockstat_cost(script: Scripts, hits: int, locks: int, taken: list[dict[str, list[float]]]) -> Script:
    """Have each design count so many local hits and locks, in a warm-up and two repetitions of four slices."""
    stats, counts, each = iter([0, hits] * 2), iter([0, locks] * 2), iter(taken)
    uvm = SimpleNamespace(cpu_stats=lambda: [SimpleNamespace(cpuhit=next(stats))])
    return script("lockstat_cost").has(
        ready=lambda *_, **__: nullcontext((uvm, None)),
        pairs=lambda cpu: None,
        acquired=lambda uvm: next(counts),
        measure=lambda *_: next(each),
        SLICES=4,
        SLICE_PAIRS=10,
        REPETITIONS=2,
    )


def test_lockstat_prints_nanoseconds_of_pairs_and_of_locks(script: Scripts, printed: Lines) -> None:
    taken = [{"off": [10.0, 12.0], "on": [20.0, 30.0]}, {"off": [30.0], "on": [40.0]}, {"off": [5.0], "on": [9.0]}]
    (record,) = lockstat_cost(script, 90, 180, taken).module.bench(False)
    assert record.measured == 25
    assert printed() == [
        "  fpageqlock   off 11 [10-12] ns a pair, on 25 [20-30] ns",
        "  percpu       off 30 [30-30] ns a pair, on 40 [40-40] ns",
        "  fpageqlock: 55.0 [50.0-60.0] % of throughput",
        "  acquire + release: 5 [5-5] ns, counted 9 [9-9] ns",
    ]


@pytest.mark.parametrize(("hits", "locks"), [(89, 180), (90, 179)])
def test_lockstat_is_not_judged_on_pairs_that_were_no_local_hits(script: Scripts, hits: int, locks: int) -> None:
    """Ninety pairs of ten a slice, of two locks each."""
    cost = lockstat_cost(script, hits, locks, [{"off": [1.0], "on": [2.0]}])
    with pytest.raises(RuntimeError, match="90 pairs: not all were local hits"):
        cost.module.bench(False)
