"""What each bench script holds against its bounds: the script runs in full, on measures that are made up.

=> Where several designs, CPUs or loads are measured, the worst of them counts, in each repetition by itself; what is
   made up is such that the best, the first, the last, and the worst of all repetitions would give another figure.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Scripts, said
from tests.workload.perf_lines import line, read
from uvmfree.measure.workloads import from_trace
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import REGISTRY, SHOWN
from uvmfree.uvm.system import Uvm

IS_311 = sys.version_info[:2] == (3, 11)


def in_turn(values: Mapping[Any, Sequence[float]]) -> Callable[[Any], float]:
    """Return a measure that gives the values of a key, one after the other."""
    left = {key: iter(listed) for key, listed in values.items()}
    return lambda key: next(left[key])


def at_once(values: Mapping[str, list[float]]) -> Callable[..., dict[str, list[float]]]:
    """Return what stands for interleaved(): these values, under the names that it is asked for."""

    def interleaved(measures: Mapping[str, object], *_: object, **__: object) -> dict[str, list[float]]:
        assert list(measures) == list(values)
        return dict(values)

    return interleaved


class Idle:
    """A system of which nothing is asked."""

    def __enter__(self) -> "Idle":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    close = audit = lambda self: None


def test_boot_is_judged_by_the_slower_and_by_the_larger(script: Scripts) -> None:
    boots = script("boot").has(
        PAGES=1000,
        interleaved=at_once({"fpageqlock": [1.0, 1.0, 3.0], "percpu": [2.5, 1.5, 1.0]}),
        bytes_per_page=lambda design, pages: {"fpageqlock": 151.0, "percpu": 100.0}[design],
    )
    assert boots.found() == {"boot-1m-seconds": (2.5, False), "boot-bytes-per-page": (151, False)}


def test_contention_divides_by_todays_lock(script: Scripts) -> None:
    bout: Any = script("contention").has(plan=lambda trace: None).module.Bout
    rates = {("fpageqlock", 1): 0.5, ("percpu", 1): 0.2, ("percpu", 32): 0.004}

    class Bout(bout):  # type: ignore[misc]
        def run(self, config: Any) -> float:
            self.moved[config.name].append(1.0)
            self.handed_back[config.name].append(0.0)
            return rates[config.design, config.refill]

    trace = SimpleNamespace(counts=SimpleNamespace(duration_s=1.0, linux_moved_per_op=None))
    records = Bout("cc-j4", trace).measure(False)
    assert [(round(record.measured, 9), record.holds) for record in records] == [
        (0.4, False),
        (0.008, True),
        (0.4, None),
        (0.008, None),
    ]


def test_contention_counts_the_lock_of_operations(script: Scripts) -> None:
    with boot(npages=1024, ncpus=1, design="fpageqlock", lockstat=True) as uvm:
        pg = uvm.cpus[0].pagealloc()
        assert pg is not None
        uvm.cpus[0].pagefree(pg)
        uvm.audit()
        assert script("contention").module.lock_per_op(uvm) == 1


def test_an_update_is_divided_by_a_pair_of_lock_operations(script: Scripts) -> None:
    names = ("lock pair", "counter, direct", "counter, public", "plain store")
    cost = script("counter_cost").has(
        alone=lambda *_: dict(zip(names, ([40.0], [60.0], [800.0], [20.0]), strict=True)),
        together=lambda *_: {"counter": [90.0], "lock": [300.0]},
        gil_enabled=lambda: False,
    )
    cost.has(os=SimpleNamespace(sched_getaffinity=lambda _: {0, 1}))
    assert cost.found() == {"counter-over-lock-pair": (1.5, None), "counter-over-lock-2cpu": (0.3, None)}


def test_the_floor_is_compared_without_the_empty_loop(script: Scripts) -> None:
    ns = {"empty loop": 10.0, "floor pair": 30.0, "local pair": 90.0}

    def alternating(measures: Mapping[str, Callable[[], float]], slices: int) -> dict[str, float]:
        measures["local pair"]()
        return {name: ns.get(name, 1.0) for name in measures}

    assert script("floor").has(alternating=alternating).found() == {"floor-ratio": (4, False)}


def test_llfree_is_judged_on_the_dearest_load(script: Scripts) -> None:
    swaps = iter([3.1, 3.7, 3.0, 3.5, 3.2, 3.3, 3.4])
    llfree = script("llfree").has(
        read_trace=lambda file: file,
        from_trace=lambda trace: SimpleNamespace(name="cc-j4", ncpus=2),
        tallied=lambda load: {"swaps": next(swaps), "retries": 9.0},
    )
    assert llfree.found() == {"llfree-swaps-per-op": (3.7, False)}


def test_swaps_are_of_each_page_allocated_and_of_each_freed(script: Scripts, tmp_path: Path) -> None:
    """A hit swaps three words where nothing is in the way, a free as many; each CPU reserves a tree first."""
    times = [(what, page) for what in ("alloc", "free") for page in range(1, 101)]
    lines = [line(what, hex(page), cpu=page % 2, us=us) for us, (what, page) in enumerate(times)]
    load = from_trace(read(tmp_path, "".join(lines)))
    taken = script("llfree").has(NPAGES=1024).module.tallied(load)
    assert (taken["swaps"], taken["reservations"]) == (602 / 200, 2 / 200)


def test_a_local_hit_that_takes_a_lock_is_found(script: Scripts) -> None:
    # Before and after the 64 misses; then before and after each of four ways: two locks in the third.
    looks = iter([0, 64, 100, 100, 200, 200, 300, 302, 400, 400])
    hits = script("local_hit").has(PAIRS=10, shared=lambda uvm, own: next(looks))
    assert hits.found() == {"local-hit-shared-locks": (0.05, False), "local-hit-atomics": (0, True)}


def test_what_counting_costs_is_a_share_of_the_rate(script: Scripts) -> None:
    # A warm-up and two repetitions of each design, then of locks alone.
    answers = iter([(9.0, 9.0), *[(10.0, 100.0)] * 2, (9.0, 9.0), *[(60.0, 100.0)] * 2, *[(1.0, 9.0)] * 3])

    def alternating(measures: Mapping[str, Callable[[], float]], slices: int) -> dict[str, float]:
        for _ in range(slices):
            for measure in measures.values():
                measure()
        return dict(zip(("off", "on"), next(answers), strict=True))

    cost = script("lockstat_cost").has(alternating=alternating, SLICES=1, SLICE_PAIRS=10, REPETITIONS=2)
    assert cost.found() == {"lockstat-cost-percent": (40, False)}


def test_what_the_observer_costs_is_by_the_clock(script: Scripts) -> None:
    observer = script("observer_cost")
    slices = {
        observer.module.ALONE: ((1.0, 1.0, 1.0), 0),
        observer.module.WATCHED: ((1.25, 1.0, 2.0), 50),
        observer.module.STORING: ((2.0, 1.0, 1.0), 0),
    }
    observer.has(run=lambda uvm, cpu, pairs, kind: observer.module.Slice(*slices[kind]), PAIRS=1)
    costs = observer.module.costs(None, None, 1, 4)
    assert (costs.watched, costs.stored, costs.samples_per_s) == ((pytest.approx(20), 0, 50), 50, 40)
    assert observer.found() == {"observer-cost-percent": (20, False)}


def test_contiguous_allocation_is_judged_on_the_slower_design(script: Scripts) -> None:
    medians = iter(
        [3.0, 8.0, 7.0, 1.0, 6.0, 2.0, 99.0, 99.0]
    )  # the designs in turn; then two whose locks are watched
    pglist = script("pglist").has(
        REPETITIONS=3,
        half_used=lambda *_, **__: Idle(),
        shots_ms=lambda uvm, shots: [0.0, next(medians), 500.0],
        hold_us=lambda uvm: (1.0, 2.0),
        refused_ms=lambda uvm: 3.0,
    )
    assert pglist.found() == {"pglist-16-of-262144-ms": (7, False if IS_311 else None)}


def test_the_waits_of_pressure_are_the_worst_of_all_runs(script: Scripts) -> None:
    pressure = script("pressure").has(
        sustained=lambda smoke: [
            SimpleNamespace(longest=ms, counts={"false_oom": n}) for ms, n in ((9, 1), (260, 2))
        ],
        figures=lambda run: SimpleNamespace(beside_free_longest_ms=run.longest, wait_longest_ms=9999.0),
        redistribution=lambda smoke: [10.0, 60.0, 51.0],
    )
    assert pressure.found() == {
        "pressure-longest-sleep-beside-free-ms": (260, False),
        "pressure-false-oom": (3, False),
        "pressure-redistribution-to-page-ms": (51, False),
    }


def test_replay_is_judged_on_the_slowest_design_that_a_claim_speaks_of(script: Scripts) -> None:
    measured = {
        "fpageqlock": [5e5] + [4.5e5, 3.9e5, 5e5] * 3,
        "percpu": [1.0] + [3e5, 5e5, 3.5e5] * 3,
        "xnu": [1.0] + [4e5, 1.9e5, 2.2e5] * 3,
        "llfree": [1.0] + [9e4, 1.2e5, 1.1e5] * 3,
    }
    rates = in_turn(measured)

    def rate(design: str, planned: object, stalls: list[float]) -> float:
        stalls.append(0.0)
        return rates(design)

    replay = script("replay")
    claims = {
        claim: [each for each in designs if each in measured] for claim, designs in replay.module.CLAIMS.items()
    }
    replay.has(
        CLAIMS=claims,
        rate=rate,
        REGISTRY=measured,
        REPETITIONS=3,
        read_trace=lambda file: SimpleNamespace(name="cc-j4"),
        plan=lambda trace: SimpleNamespace(allocs=1, frees=1, programs=(1, 2)),
    )
    assert replay.found() == {
        "replay-events-per-s": (350_000, False if IS_311 else None),
        "replay-any-events-per-s": (220_000, True if IS_311 else None),
        "replay-llfree-events-per-s": (110_000, True if IS_311 else None),
    }


def test_a_rate_is_of_the_events_of_the_plan(script: Scripts) -> None:
    done = SimpleNamespace(wall_ns=2_000_000_000, stall_ns=(1_000_000_000, 0))
    stalls: list[float] = []
    planned = SimpleNamespace(programs=(1, 2), allocs=30_000, frees=10_000)

    def small(**sizes: Any) -> Uvm:
        return boot(**{**sizes, "npages": 1024})

    replay = script("replay").has(driven=lambda *_: done, bodies=lambda *_: [], boot=small)
    assert replay.module.rate("percpu", planned, stalls) == 20_000
    assert stalls == [25]
    scaling = script("scaling").has(driven=lambda *_: done, boot=small)
    beside = scaling.module.Beside()
    assert (
        scaling.module.rate(scaling.module.NOTHING_SHARED, 2, 3_000, beside) == 6
    )  # thousands, allocations and frees
    assert len(beside.cpus_had) == 1


@pytest.mark.parametrize(("floor_two", "judged"), [(1.8, True), (1.7, False)])
def test_scaling_is_judged_where_two_cpus_were_to_be_had(
    floor_two: float, judged: bool, script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    rates = {
        ("percpu", 1): 100.0,
        ("percpu", 2): 170.0,
        ("fpageqlock", 1): 50.0,
        ("fpageqlock", 2): 60.0,
        ("nothing shared", 1): 1.0,
        ("nothing shared", 2): floor_two,
    }

    def rate(design: str, ncpus: int, pages: int, beside: Any) -> float:
        beside.cpus_had.append(1.0)
        return rates.get((design, ncpus), 1.0)

    scaling = script("scaling").has(gil_enabled=lambda: False, rate=rate, REGISTRY=("fpageqlock", "percpu", "xnu"))
    assert scaling.found() == {
        "scaling-percpu": (1.7, None),
        "scaling-fpageqlock": (1.2, None),
        "scaling-nothing-shared": (floor_two, None),
        "scaling-xnu": (1, None),
        "scaling-2cpu": (1.7, False if judged else None),
        "percpu-over-fpageqlock-2cpu": (round(170 / 60, 9), True if judged else None),
    }


def test_a_splice_is_compared_shot_by_shot(script: Scripts) -> None:
    splice = script("splice")
    few, many = splice.module.FEW_PAGES, splice.module.MANY_PAGES
    once = in_turn({few: [1] * 3 + [20, 10, 1000], many: [1] * 3 + [9, 30, 30]})
    splice.has(
        REPETITIONS=1,
        SHOTS=3,
        boot=lambda **_: Idle(),
        fill=lambda *_: None,
        once_us=lambda uvm, pages: once(pages),
    )
    assert splice.found() == {"splice-100k-over-1k": (1.5, True)}


def test_startup_is_that_of_each_command(script: Scripts) -> None:
    startup = script("startup")
    ms = {"pass": 10.0, "import uvmfree": 59.0, "--help": 151.0}

    def process_ms(args: tuple[str, ...], used_ms: list[float]) -> float:
        used_ms.append(1.0)
        return ms[args[-1]]

    startup.has(process_ms=process_ms, REPETITIONS=2)
    assert startup.found() == {
        "startup-import-ms": (59, True if IS_311 else None),
        "startup-help-ms": (151, False if IS_311 else None),
    }


def test_virtual_speed_is_what_a_user_waits_for(script: Scripts) -> None:
    speed = script("virtual_speed")
    spent = speed.module.Spent
    figures = '{"warm": 1, "warm_s": 9, "counted": 1000000, "counted_s": 4}'
    whole = {"9 points": spent(15.5, 1, 1, ""), "copies to 64 CPUs": spent(29.0, 1, 1, "")}
    speed.has(
        spent=lambda what, arguments: whole.get(what, spent(91.0, 1, 1025.0, figures)),
        interleaved=lambda *_, **__: {
            "switch": [1.5],
            "16": [300_001.0],
            "256": [100_000.0],
            "local": [999_999.0],
        },
        VirtualMachine=lambda: SimpleNamespace(strands="greenlet"),
    )
    assert speed.found() == {
        "virtual-switch": (1.5, False),
        "virtual-fpageqlock-16": (300_001, True),
        "virtual-fpageqlock-256": (100_000, True),
        "virtual-local-hits": (999_999, False),
        "virtual-event-growth": (3.00001, False),
        "virtual-curve-9": (15.5, False),
        "virtual-copies-64": (29, True),
        "virtual-copies-224": (91, False),
        "virtual-copies-224-rate": (250_000, False),
        "virtual-copies-224-memory": (1025, False),
    }


def test_what_seeds_find_fails_the_script(script: Scripts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextmanager
    def local(_: int) -> Iterator[tuple[None, int]]:
        yield None, 1

    asked: list[tuple[str, ...]] = []

    def play_seeds(seen: Any, _wanted: range, _options: object, designs: Sequence[str], *_: object) -> Iterator[Any]:
        asked.append(tuple(designs))
        seen.runs, seen.last, seen.virtual_s, seen.host_s = 2, 2, 3.0, 12.0
        seen.failure = SimpleNamespace(errors=["two pages are one"], command="uvmfree stress --seed 2")
        yield SimpleNamespace(design="percpu")

    kept: dict[str, Any] = {}
    seeds = script("seeds").has(
        local=local,
        play_seeds=play_seeds,
        first_signal_asks=lambda: nullcontext(lambda: False),
        write=lambda file, records, **_: kept.update(said(records)),
    )
    for every in ([], ["--all"]):
        monkeypatch.setattr(sys, "argv", ["seeds.py", "--smoke", *every, "--json", str(tmp_path / "seeds.json")])
        assert seeds.module.main() == 1
        assert kept == {"seeds-failures": (1, False), "seeds-virtual-s-per-s": (0.25, None)}
    assert asked == [SHOWN, tuple(REGISTRY)]


def test_each_script_has_its_claims_judged_here_or_beside() -> None:
    """But for scripts that judge nothing."""
    files = [Path(__file__).with_name(f"test_{name}.py") for name in ("claims", "claims_of_cells", "depot_claims")]
    texts = "".join(file.read_text() for file in files)
    names = {file.stem for file in Path(__file__).parents[2].glob("bench/*.py")} - {"all", "harness"}
    silent = {"depot_counts", "pairs", "probes", "questions"}
    assert {name for name in names if f'script("{name}")' not in texts} == silent
