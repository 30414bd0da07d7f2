"""This project's own runs on two processors, predicted from one CPU and from a bare lock between two threads.

Fitted on one CPU: a lock pair; the hold of the shared lock; a miss; for each design and workload the work outside of
the lock. Fitted on two, to a bare lock alone: the transfer of a line, by threads that never sleep; for how long a
waiter stays awake, by how often threads did sleep; what a sleep costs, by what they then took. Predicted: throughput
and waiting of two CPUs.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.harness import Claim, Record
from bench.real.bare import Bare, bare_lock
from bench.real.runs import BARE_HOLD, DESIGNS, WORKLOADS, alone, once
from uvmfree.machine.costs import Costs, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine

ROOT: Final = Path(__file__).resolve().parents[2]

OFF = Claim("predict-percpu-off-percent", "percpu on two processors, from one: throughput", "percent", 15.0)
WAITS = Claim("predict-wait-share-off-points", "wait shares on two processors, from one", "points", 5.0)
GLOBAL = Claim(
    "predict-fpageqlock-off-percent", "fpageqlock on two processors, from one: throughput", "percent", None
)

MEASURE: Final = ("./run", "--no-default-groups", "--group", "test", "python", "bench/real/runs.py")
OPERATIONS, SERIES = 200_000, 5
PREDICTED_OPERATIONS: Final = 6000

LINE_MAX_NS: Final = 1000
AWAKE_NS: Final = 1_000_000
"""For how long a waiter is awake that never sleeps."""
PRICE_MAX: Final = 64
"""How many times as much as in `python-here` a wakeup may take: beyond, the host has other work."""
FITS: Final = 4
"""How often the two costs of sleeping are fitted, each with the other as it then is."""


def freethreaded() -> str | None:
    """Return the path of a free-threaded interpreter that is there already, or None."""
    kept = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "uvmfree/python3.13t/bin/python3.13t"
    named = os.environ.get("UVMFREE_FREETHREADED", str(kept))
    return named if Path(named).exists() else None


def measure(python: str, operations: int) -> dict[str, Any]:
    """Run all on the free-threaded interpreter."""
    env = {
        **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        "UV_PYTHON": python,
        "PYTHON_GIL": "0",
        "PYTHONPATH": str(ROOT),
        "UV_PROJECT_ENVIRONMENT": ".venv-ft",
    }
    ran = subprocess.run(
        [*MEASURE, str(operations)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    if ran.returncode:
        raise OSError(f"bench/real/runs.py: {ran.stderr.strip().splitlines()[-1]}")
    read: dict[str, Any] = json.loads(ran.stdout)
    return read


def middle(series: list[Any]) -> Any:
    """Take the median of numbers that stand at the same place in all series."""
    if isinstance(series[0], dict):
        return {name: middle([one[name] for one in series]) for name in series[0]}
    if isinstance(series[0], list):
        return [middle(list(values)) for values in zip(*series, strict=True)]
    return statistics.median(series) if isinstance(series[0], float) else series[0]


def base(seen: Mapping[str, Any]) -> Costs:
    """Return the costs that all designs share: a pair and a hold as measured, the rest fitted to the bare lock."""
    pair, hold = seen["pair"], seen["hold"]
    figures = {"lock_acquire": pair * 2 / 3, "lock_release": pair / 3, "other_hold": hold, "other_lines": 0}
    table = costs_for("python-here").with_figures({**figures, "jitter_percent": 0}, "measured")
    usual = {name: table.figures[name].value for name in ("sleep_wake", "wakeup")}
    (awake_one, _), (awake_two, _) = seen["awake"]
    (one, _), (two, slept) = seen["bare"]

    def made(line_ns: float, spin_ns: float, price: float) -> Costs:
        lines = dict.fromkeys(("line_complex", "line_socket", "line_remote", "line_memory"), line_ns)
        wakes = {name: ns * price for name, ns in usual.items()}
        said = f"fitted to a bare lock ({BARE_HOLD} turns held) between two threads"
        return table.with_figures({**lines, "sleep_spin": spin_ns, **wakes}, said)

    def played(costs: Costs, alone_ns: float) -> Bare:
        outside_ns, longer_ns = max(0.0, alone_ns - pair - hold), round(2 * hold)
        return bare_lock(
            "sleep", 2, lambda dice: outside_ns * dice.uniform(0.7, 1.3), costs, 4000, longer_ns=longer_ns
        )

    line = _least(LINE_MAX_NS, lambda ns: played(made(ns, AWAKE_NS, 1.0), awake_one).per_lock_ns >= awake_two)
    spin, price = 0.0, 1.0
    for _ in range(FITS):  # who sleeps longer comes in the way of others less often
        spin = _least(2 * hold, lambda ns: played(made(line, ns, price), one).longer_share <= slept)  # noqa: B023
        price = _least(PRICE_MAX, lambda times: played(made(line, spin, times), one).per_lock_ns >= two)  # noqa: B023
    return made(line, spin, price).with_figures({"jitter_percent": 30}, "assumed")


def _least(most: float, reached: Callable[[float], bool]) -> float:
    """Return about the least number from 0 on that is enough, or nearly `most`."""
    low, high = 0.0, float(most)
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return low


def fitted(design: str, workload: str, seen: Mapping[str, Any], shared: Costs, operations: int) -> Costs:
    """Return the costs of a design under a workload, from one CPU."""
    ns, _, held_ns = seen["one"][f"{design}; {alone(workload)}"]
    hit_ns, _, _ = seen["one"][f"{design}; pingpong"]
    refill = DESIGNS[design].get("refill", 1)
    if design == "fpageqlock":
        hold = {"global_alloc": held_ns, "global_free": held_ns}
    else:
        hold = {"global_alloc": max(0.0, refill * (seen["miss"][design] - hit_ns) - seen["pair"])}
    nothing = dict.fromkeys(("page_moved", "global_outside", "cached_alloc", "cached_free"), 0.0)
    table = shared.with_figures({**nothing, **hold}, "measured on one CPU")
    rest = max(0.0, ns - _virtual(design, alone(workload), 1, table, operations)[0])
    names = ("global_outside",) if design == "fpageqlock" else ("cached_alloc", "cached_free")
    return table.with_figures(dict.fromkeys(names, rest), "what is left of an operation on one CPU")


def _virtual(design: str, workload: str, ncpus: int, costs: Costs, operations: int) -> tuple[float, float, float]:
    machine = VirtualMachine(ncpus=ncpus, costs=costs, lock="sleep", lockstat=True)
    return once(design, workload, ncpus, operations, machine)


def python(smoke: bool, full: dict[str, Any]) -> list[Record]:
    """Measure two processors, and predict them."""
    interpreter = freethreaded()
    print("\npython: this project's own runs on two processors")
    if interpreter is None or len(os.sched_getaffinity(0)) < 2:
        print("  skipped: needs two processors, and a free-threaded interpreter (.ci/freethreaded builds one)")
        return [claim.unmeasured() for claim in (OFF, WAITS, GLOBAL)]
    operations, virtual_operations = (4000, 1000) if smoke else (OPERATIONS, PREDICTED_OPERATIONS)
    try:
        series = [measure(interpreter, operations) for _ in range(1 if smoke else SERIES)]
    except OSError as error:
        print(f"  skipped: {error}")
        return [claim.unmeasured() for claim in (OFF, WAITS, GLOBAL)]
    seen = middle(series)
    shared = base(seen)
    price = shared.figures["wakeup"].value / costs_for("python-here").figures["wakeup"].value
    explained = shared.figures["line_socket"].value <= LINE_MAX_NS * 0.99 and price <= PRICE_MAX * 0.99
    if not explained:
        print(
            "  two threads at a bare lock were slower than any line or wakeup explains: the host is busy, and this "
            "says nothing"
        )
    (one, _), (two, slept) = seen["bare"]
    (_, _), (awake, _) = seen["awake"]
    print(
        f"  a bare lock: {one:.0f} ns on one thread, {two:.0f} on two, which sleep before {100 * slept:.1f} % of the "
        f"holds; {awake:.0f} if they never do\n"
        f"  fitted: lock pair {seen['pair']:.0f} ns, line {shared.ns('line_socket')}; waiters are awake for "
        f"{shared.ns('sleep_spin')}, to wake one takes {shared.ns('sleep_wake')}, and {shared.ns('wakeup')} to come"
    )
    print(
        f"  {'ns an operation and CPU':<32}{'fitted on':>10}{'predicted':>11}{'measured [min-max]':>24}{'off %':>7}"
    )
    print(f"  {'':<32}{'one CPU':>10}{'':>11}{'':>24}{'':>7}  waits % predicted, measured")
    off: dict[str, list[float]] = {"percpu": [], "fpageqlock": []}
    points: list[float] = []
    kept: dict[str, Any] = {}
    for design in DESIGNS:
        for workload in WORKLOADS:
            name = f"{design}; {workload}"
            one_ns = seen["one"][f"{design}; {alone(workload)}"][0]
            table = fitted(design, workload, seen, shared, virtual_operations)
            said_ns, said_waits, _ = _virtual(design, workload, 2, table, virtual_operations)
            ns, waits, _ = seen["two"][name]
            values = [one["two"][name][0] for one in series]
            percent = 100 * (ns / said_ns - 1)  # of throughput: above 0 the prediction is too fast
            off[DESIGNS[design]["design"]].append(abs(percent))
            points.append(100 * abs(said_waits - waits))
            spread = f"{ns:,.0f} [{min(values):,.0f}-{max(values):,.0f}]"
            print(
                f"  {name:<32}{one_ns:>10,.0f}{said_ns:>11,.0f}{spread:>24}{percent:>+7.1f}"
                f"  {100 * said_waits:5.1f} {100 * waits:5.1f}"
            )
            kept[name] = {
                "one_ns": one_ns,
                "predicted": [said_ns, said_waits],
                "measured": [ns, waits],
                "all": values,
            }
    figures = {name: (figure.value, figure.source) for name, figure in shared.figures.items()}
    bases = {name: seen[name] for name in ("one", "bare", "awake")}
    full["python"] = {"fitted": {"costs": figures, **bases}, "predicted": kept}
    judged = partial(_judged, judged=explained and not smoke)
    return [judged(OFF, off["percpu"]), judged(WAITS, points), judged(GLOBAL, off["fpageqlock"])]


def _judged(claim: Claim, values: list[float], *, judged: bool) -> Record:
    return claim.record([max(values)], judged=judged)
