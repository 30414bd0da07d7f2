"""What scripts hold against their bounds that play virtual time: on figures that are made up, as in test_claims.py.

=> Where cells are kept, what fills them is replaced: each cell gets the figures that are made up for its name.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.grid.kept import Kept
from bench.real.bare import Bare, bare_lock
from bench.real.predicted import base
from tests.bench.scripted import Script, Scripts, said
from tests.designs.patterns import Counts
from tests.measure.curves import curve, point
from uvmfree.machine.costs import Costs, costs_for


def filled(figures: Callable[[Any], dict[str, Any] | None], host_s: float = 600.0) -> Callable[..., bool]:
    """Return what stands for fill(): cells get these values, and took ten minutes of a processor each."""

    def fill(kept: Kept, cells: Sequence[Any], *_: object, **__: object) -> bool:
        for cell in cells:
            if (found := figures(cell)) is not None:
                kept.cells[str(cell)] = {**found, "host_s": host_s}
        return True

    return fill


def test_designs_are_judged_by_the_one_nearest_to_the_limit(script: Scripts, tmp_path: Path) -> None:
    designs = script("designs")
    at = {"percpu": (64, 0.04), "fpageqlock": (0, 0.3), "depot": (9, 0.1), "xnu": (8, 0.0)}

    def figures(cell: Any) -> dict[str, Any] | None:
        if "cc-j4" not in (cell.trace or "") or cell.passes != 1:
            return None
        if cell.load == "limit":
            return {"limit": [[8, 0.1], [64, 0.05], [512, 0.01]]}
        parked, locks = at[cell.design]
        return {"figures": {"parked_pages_max": parked, "page_locks_per_op": locks}}

    designs.has(fill=filled(figures), mark=lambda *_: None)
    words = [word for design in at for word in ("--design", design)]
    args = designs.module.parser().parse_args(["--table", "--results", str(tmp_path), *words])
    # 0.04 of 0.05 that 64 pages allow; who takes no shared lock is no evidence. Five cells, on two processors.
    assert designs.found(args) == {"designs-table-minutes": (25, False), "designs-over-limit": (0.8, False)}
    args.only = "percpu"
    part = designs.found(args)
    assert part["designs-table-minutes"][1] is None


def test_the_curve_is_judged_by_its_least_linear_design(script: Scripts, tmp_path: Path) -> None:
    curves = {
        ("cc-j4", "ttas"): curve(
            point("percpu", 2, 9, outside_ns=1_900_000),
            point("depot", 2, 9, outside_ns=1_600_000),
            point("depot", 8, 9, outside_ns=800_000),
        ),
        ("cc-j4", "mcs"): curve(point("percpu", 2, 9, outside_ns=2_000_000)),
    }
    measured = {"percpu: cc-j4, mcs, 2 CPUs", "percpu: cc-j4, mcs, 256 CPUs"}
    shown: list[set[str]] = []

    def markdown(_: object, cells: Sequence[Any], __: object) -> str:
        shown.append({str(cell) for cell in cells})
        return ""

    bench = script("curve").has(
        fill=filled(lambda cell: {} if str(cell) in measured else None, 2400.0),
        mark=lambda *_: None,
        markdown=markdown,
        curves=lambda *_: curves,
    )
    words = ["--curve", "--results", str(tmp_path), "--design", "percpu"]
    args = bench.module.parser().parse_args(words)
    assert bench.found(args) == {
        "curve-minutes": (20, False),
        "curve-linear-2-cpus": (0.8, False),
        "curve-depot-256-waiting": (None, None),
        "curve-depot-256-of-linear": (None, None),
    }
    assert not measured & shown[-1] - {"percpu: cc-j4, mcs, 2 CPUs"}
    # What --full adds is not of the time that is judged; once it was measured, the page keeps it.
    full = bench.module.parser().parse_args([*words, "--full"])
    assert bench.found(full)["curve-minutes"] == (20, False)
    assert measured <= shown[-1]
    (tmp_path / "curve.json").write_text(
        json.dumps({"host": {}, "cells": {name: {"host_s": 1.0} for name in measured}})
    )
    bench.found(args)
    assert measured <= shown[-1]
    assert "percpu: cc-j4, ttas, 128 CPUs" not in shown[-1]


def test_the_depot_is_judged_on_256_cpus_by_the_points_of_all_traces(
    script: Scripts, capsys: pytest.CaptureFixture[str]
) -> None:
    """Linear is all of the time but what the CPUs of a pair wait for each other; what is not kept is said."""
    ms = 1_000_000 * 256

    def one(share: float, stalled: float, waited: float, **more: Any) -> Any:
        of_time = {"outside_ns": round(share * ms), "stall_ns": round(stalled * ms), "wait_ns": round(waited * ms)}
        return curve(point("depot", 2, 9, outside_ns=1, stall_ns=0), point("depot", 256, 9, **of_time | more))

    module = script("curve").module

    def judged(found: Any) -> tuple[Any, list[str]]:
        return said(module.at_the_largest(found)), capsys.readouterr().out.splitlines()

    nothing = {"curve-depot-256-waiting": (None, None), "curve-depot-256-of-linear": (None, None)}
    assert judged(None) == (nothing, [])
    found = {(trace, "ttas"): one(0.96, 0.0, 0.004) for trace in module.COUNTS}
    found["java-build", "mcs"] = one(0.77, 0.2, 0.012)
    assert judged(found) == (
        {"curve-depot-256-waiting": (1.2, False), "curve-depot-256-of-linear": (0.96, True)},
        [],
    )
    found["fork-exec", "ttas"] = one(0.93, 0.0, 0.004)
    assert judged(found)[0]["curve-depot-256-of-linear"] == (0.93, False)
    del found["java-build", "ttas"]
    found["fork-exec", "mcs"] = one(0.9, 0.0, 0.5, stall_ns=None)
    assert judged(found) == (
        {"curve-depot-256-waiting": (1.2, None), "curve-depot-256-of-linear": (0.93, None)},
        [
            "  depot on 256 CPUs, fork-exec, mcs: has no recorded gaps: not judged",
            "  depot on 256 CPUs, java-build, ttas: is not kept: not judged",
        ],
    )
    none = {key: curve(point("percpu", 256, 9, outside_ns=1)) for key in found}
    assert judged(none)[0] == nothing


def test_tight_memory_is_judged_on_the_most_false_failures(script: Scripts, tmp_path: Path) -> None:
    (tmp_path / "cc-j4.perf.xz").touch()
    falsely = {"cc-j4": {2: 3, 8: 1}, "handoff": {2: 0, 8: 0}}
    played = []

    def failures(workload: Any, design: str) -> tuple[int, int, int]:
        played.append((workload.name.partition(",")[0], workload.ncpus))
        return 9_000, 7, falsely.get(played[-1][0], {}).get(workload.ncpus, 0)

    def from_trace(trace: Any, ncpus: int = 2, by: str = "cpu") -> Any:
        return SimpleNamespace(name="cc-j4", ncpus=ncpus)

    tight = script("tight").has(
        TRACES=tmp_path,
        CLAIMING=("depot",),
        read_trace=lambda file: SimpleNamespace(ncpus=2),
        from_trace=from_trace,
        failures=failures,
    )
    assert tight.found() == {"tight-ram": (3, False)}
    assert played == [(name, cpus) for name in ("cc-j4", "pingpong", "handoff", "forkexit") for cpus in (2, 8)]
    falsely["cc-j4"], falsely["handoff"] = falsely["handoff"], {2: 0, 8: 5}
    assert tight.found() == {"tight-ram": (5, False)}


def test_stores_of_sockets_are_compared_where_they_gain_least(script: Scripts) -> None:
    def point(window_ns: int, wait_share_percent: float) -> SimpleNamespace:
        shares = {"wait_share_percent": wait_share_percent, "busy_percent": 1.0}
        return SimpleNamespace(operations=1000, shared_acquired=1, window_ns=window_ns, **shares)

    found = {64: (point(1000, 4.0), point(500, 2.0)), 128: (point(1000, 4.0), point(2000, 5.0))}
    numa = script("numa").has(points=lambda trace, ncpus: found[ncpus])
    assert numa.found() == {"numa-work": (0.5, None), "numa-waits": (1.25, None)}


def test_one_store_comes_first_and_sockets_share_the_cpus(script: Scripts) -> None:
    cases: Any = script("numa").has(measured=lambda case: case).module.points(Path("cc-j4.perf.xz"), 128)
    assert [case.settings for case in cases] == [("per_socket=False",), ("per_socket=True",)]
    assert [(case.ncpus, case.changed["socket_cores"]) for case in cases] == [(128, 64.0)] * 2


def moved(pages: float) -> dict[str, Any]:
    return {"figures": {"moved_per_op": pages / 1000, "page_operations": 1000}, "host_s": 1.0}


@pytest.mark.parametrize(
    ("recorded", "outside"), [(0.3, 0.0), (0.6, 0.1), (0.1, 0.1)], ids=["between", "above", "below"]
)
@pytest.mark.parametrize(("empty", "known"), [(0.5, 0.2), (0.2, 0.5)])
def test_linux_moves_what_it_was_recorded_to_move(
    script: Scripts, recorded: float, outside: float, empty: float, known: float
) -> None:
    """From empty sets, and from those of the recorded kernel, or the other way round."""
    linux = script("linux").has(recorded=lambda trace: SimpleNamespace(moved_per_op=recorded))
    rows = {name: linux.module.ROWS[name] for name in (linux.module.EMPTY, linux.module.KNOWN)}
    cells = linux.module.cells_of("x.perf.xz", 4096, rows)
    kept = Kept(None, "")
    for cell, value in zip(cells.values(), (empty, known), strict=True):
        kept.cells[str(cell)] = {"moved_per_op": value}
    record = linux.module.compared(kept, "x.perf.xz", 4096, judged=True)
    assert (record.measured, record.holds) == (pytest.approx(outside), not outside)


def test_steps_compare_the_last_with_today(script: Scripts) -> None:
    locks = {"fpageqlock": 0.5, "percpu": 0.1, "depot": 0.01}
    steps = script("steps").has(
        fill=filled(
            lambda cell: {"figures": {"page_locks_per_op": 9.0 if "budget=" in cell.label else locks[cell.design]}}
        ),
        mark=lambda *_: None,
    )
    args = SimpleNamespace(keep=False, only="", processes=1, same=False, traces=[])
    assert steps.found(args) == {"steps-locks-last-of-first": (2, False)}
    assert steps.module.work(point("depot", 64, 9, outside_ns=3_000_000)) == 3


def test_analysis_is_judged_by_the_worst_point(script: Scripts) -> None:
    predict = script("predict")
    per_us = {("mcs", 8): 3.0, ("mcs", 32): 2.9, ("mcs", 128): 2.7, ("ticket", 8): 2.0, ("ticket", 128): 1.2}
    predict.has(
        md1=lambda load, locks: (88.0 if load == 0.3 else 105.0, 100.0),
        bare_lock=lambda policy, ncpus, *_: Bare(int(per_us.get((policy, ncpus), 2.0) * 1000), 0, 1_000_000, 1),
        saturated=lambda *_: (30.0, 40.0),
    )
    full: dict[str, Any] = {}
    assert said(predict.module.analysis(False, full)) == {
        "predict-md1-off-percent": (12, False),
        "predict-mcs-saturation-ratio": (0.945, False),  # of 1,000 ns / (200 + 3 * 50)
        "predict-mcs-128-over-8": (0.9, False),
        "predict-ticket-128-over-8": (0.6, False),
        "predict-half-of-linear-off-percent": (25, False),
    }
    assert full["analysis"]["predicted"]["per_us"]["mcs, 128"] == 2.7


def test_a_bare_locks_figures(script: Scripts) -> None:
    predict = script("predict").module
    seen = Bare(locks=10, waited_ns=50, elapsed_ns=100, ncpus=2, longer=3)
    assert (seen.per_us, seen.mean_wait_ns, seen.wait_share) == (100, 5, 0.25)
    assert (seen.per_lock_ns, seen.longer_share) == (20, 0.3)
    # Of linear 1, 0.8, 0.4: half of it between 2 and 4 CPUs, three quarters of the way.
    points = [point("fpageqlock", 1, 1000), point("fpageqlock", 2, 1600), point("fpageqlock", 4, 1600)]
    assert predict.half_of_linear(points) == pytest.approx(3.5)


def test_real_runs_are_judged_by_the_prediction_furthest_off(
    script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    python = script("real.predicted")
    names = [f"{design}; {load}" for design in python.module.DESIGNS for load in python.module.WORKLOADS]
    two = {name: [150.0 if name.startswith("fpageqlock") else 110.0, 0.1, 9.0] for name in names}
    two["percpu, refill 32; forkexit"] = [80.0, 0.04, 9.0]
    seen = {"one": {name: [60.0, 0.0, 9.0] for name in names}, "two": two, "pair": 50.0}
    seen |= {"bare": [[900.0, 0.0], [999.0, 0.01]], "awake": [[910.0, 0.0], [990.0, 0.0]]}
    python.has(
        freethreaded=lambda: "python3.13t",
        measure=lambda *_: seen,
        base=lambda seen: costs_for("python-here"),
        fitted=lambda design, workload, seen, shared, operations: shared,
        once=lambda design, workload, ncpus, operations, machine: (100.0, 0.1, 9.0),
    )
    assert said(python.module.python(False, {})) == {
        "predict-percpu-off-percent": (20, False),
        "predict-wait-share-off-points": (6, False),
        "predict-fpageqlock-off-percent": (50, None),
    }
    # No line takes so long: where two threads were slower than that, nothing is judged.
    python.has(base=lambda seen: costs_for("python-here").with_figures({"line_socket": 999.5}, "fitted"))
    assert {holds for _, holds in said(python.module.python(False, {})).values()} == {None}


@pytest.mark.rotated(2)
def test_costs_are_found_again_in_a_bare_lock_that_has_them() -> None:
    """A line of 80 ns, waiters who are awake for 150 of 400, and wakeups at one and a half times the price."""
    hold, pair, outside = 400.0, 45.0, 2000.0
    figures = {"lock_acquire": 30.0, "lock_release": 15.0, "other_hold": hold, "other_lines": 0.0}
    lines = dict.fromkeys(("line_complex", "line_socket", "line_remote", "line_memory"), 80.0)
    usual = {name: costs_for("python-here").figures[name].value for name in ("sleep_wake", "wakeup")}
    sleep = {"sleep_spin": 150.0} | {name: 1.5 * ns for name, ns in usual.items()}
    costs = costs_for("python-here").with_figures({**figures, **lines, **sleep, "jitter_percent": 0}, "known")

    def two(costs: Costs) -> list[float]:
        seen = bare_lock("sleep", 2, lambda dice: outside * dice.uniform(0.7, 1.3), costs, 4000, longer_ns=800)
        return [seen.per_lock_ns, seen.longer_share]

    alone = [outside + pair + hold, 0.0]
    awake, asleep = two(costs.with_figures({"sleep_spin": 1e6}, "known")), two(costs)
    assert awake[1] == 0 < 0.01 < asleep[1]
    assert awake[0] < asleep[0]
    found = base({"pair": pair, "hold": hold, "awake": [alone, awake], "bare": [alone, asleep]})
    assert found.figures["line_socket"].value == pytest.approx(80, rel=0.1)
    assert found.figures["sleep_spin"].value == pytest.approx(150, rel=0.1)
    assert [found.figures[name].value / ns for name, ns in usual.items()] == pytest.approx([1.5, 1.5], rel=0.1)


def test_series_are_put_together_number_by_number(script: Scripts) -> None:
    series = [{"a": [1.0, 9.0], "b": {"c": 3.0}, "python": "x"}, {"a": [2.0, 1.0], "b": {"c": 5.0}, "python": "x"}]
    series.append({"a": [7.0, 4.0], "b": {"c": 4.0}, "python": "x"})
    assert script("real.predicted").module.middle(series) == {"a": [2, 4], "b": {"c": 4}, "python": "x"}


class NoProgram:
    """A native program that is not built."""

    def costs(self) -> Mapping[str, float]:
        return {}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("siblings", "holds"), [("cores of their own", False), ("THREADS OF ONE CORE", None)])
def test_native_code_is_judged_by_the_prediction_furthest_off(
    script: Scripts, siblings: str, holds: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    native = script("native")
    made = native.module.Predicted
    found = [
        made(native.module.IDLE, (100.0, 100.0, 400.0), (110.0, 110.0, 500.0)),
        made(native.module.IDLE, (100.0, 100.0, 400.0), (10.0, 80.0, 80.0)),
    ]
    native.has(Native=NoProgram, siblings=lambda: siblings, predictions=lambda *_: iter(found))
    assert native.found() == {"native-2-threads-off-percent": (20, holds)}


def published(script: Scripts) -> Script:
    pages = {("tuned", 1): 300, ("tuned", 2): 1000, ("tuned", 3): 1040, ("before", 2): 1000, ("before", 3): 1100}
    counts = SimpleNamespace(allocs=400, frees=200, linux_moved_per_op=0.4)
    ns = {("linux_pcp", 8): 300.0, ("linux_pcp", 16): 603.0, ("linux_pcp", 26): 1089.0}
    ns |= {("llfree", 8): 100.0, ("llfree", 26): 160.0}
    stores = iter([170, 10, 24, 2])  # in chunks and in one hold each: bursts; producer and consumer
    longest = iter([15, 480, 15, 225])
    bench = script("published")
    return bench.has(
        there=lambda *_: True,
        longest_free=lambda _: next(longest),
        found_traces=lambda *_: (["cc-j4.perf.xz"], []),
        read_trace=lambda file: SimpleNamespace(counts=counts),
        fill=filled(lambda cell: moved(pages.get(("before" if cell.settings else "tuned", cell.passes), 0))),
        spread=lambda runs: {name: run() for name, run in runs.items()},
        bulk=lambda design, ncpus, **_: bench.module.Bulk(ns.get((design, ncpus), 1.0), 1.0),
        Played=lambda *_, **__: nullcontext(),
        counted=lambda *_: Counts(next(stores), 0, 1, 0, 0, 0),
    )


def test_what_others_published_is_judged_from_both_sides(script: Scripts) -> None:
    records = published(script).module.predicted(False, {})
    assert [(record.id, round(record.measured, 3), record.holds) for record in records] == [
        ("published-autotune-on-over-off", 40, False),
        ("published-autotune-on-over-off", 40, True),
        ("published-cc-j4-moved-off-percent", 25, False),
        # 3.63 over 984 / 298; 2.01 over 599 / 298 is nearer.
        ("published-bulk-ratios-off-percent", 9.933, False),
        ("published-llfree-26-over-8", 1.6, False),
        ("published-chunked-acquisitions", 17, False),
        ("published-chunked-acquisitions", 12, False),
    ]
