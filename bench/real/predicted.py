"""This project's own runs on two processors, predicted from one CPU and from a bare lock between two threads.

Fitted on one CPU: a lock pair; the hold of the shared lock; a miss; for each design and workload the work outside of
the lock. Fitted on two: the transfer of a line, so that a bare lock comes out as measured. The price of waking a
sleeper is that of `python-here`. Predicted: throughput and waiting of two CPUs.
"""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.harness import Claim, Record
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
    """Return the costs that all designs share, with the line fitted to the bare lock."""
    from bench.predict import bare_lock

    pair, hold = seen["pair"], seen["hold"]
    one, two = seen["bare"]
    outside = max(0.0, one - pair - hold)
    figures = {"lock_acquire": pair * 2 / 3, "lock_release": pair / 3, "other_hold": hold, "other_lines": 0}
    table = costs_for("python-here").with_figures({**figures, "jitter_percent": 0}, "measured")

    def bare_two(line_ns: float) -> tuple[Costs, float]:
        lines = dict.fromkeys(("line_complex", "line_socket", "line_remote", "line_memory"), line_ns)
        costs = table.with_figures(lines, f"fitted to a bare lock ({BARE_HOLD} turns held) between two threads")
        seen = bare_lock("sleep", 2, lambda dice: outside * dice.uniform(0.7, 1.3), costs, 4000)
        return costs, 2 * seen.elapsed_ns / seen.locks

    low, high = 0.0, float(LINE_MAX_NS)
    for _ in range(10):
        line = (low + high) / 2
        low, high = (line, high) if bare_two(line)[1] < two else (low, line)
    return bare_two(low)[0].with_figures({"jitter_percent": 30}, "assumed")


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
    explained = shared.figures["line_socket"].value <= LINE_MAX_NS * 0.99
    if not explained:
        print(
            "  two threads at a bare lock were slower than any line explains: the host is busy, and this says nothing"
        )
    print(
        f"  fitted: lock pair {seen['pair']:.0f} ns, line {shared.ns('line_socket')} ns (bare lock: "
        f"{seen['bare'][0]:.0f} ns on one thread, {seen['bare'][1]:.0f} on two)"
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
    full["python"] = {"fitted": {"costs": figures, "one": seen["one"], "bare": seen["bare"]}, "predicted": kept}
    judged = partial(_judged, judged=explained and not smoke)
    return [judged(OFF, off["percpu"]), judged(WAITS, points), judged(GLOBAL, off["fpageqlock"])]


def _judged(claim: Claim, values: list[float], *, judged: bool) -> Record:
    return claim.record([max(values)], judged=judged)
