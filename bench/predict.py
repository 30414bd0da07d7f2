"""Claims: the virtual machine is right where the answer is known: by analysis, by a second program, by real runs.

Sections, each with what was fitted and what was predicted kept apart:

    analysis   a bare lock against M/D/1; where MCS saturates; ticket and MCS over CPUs; where fpageqlock is at half
               of linear
    cold       what a page struct that no cache holds does to each curve: an illustration, since how much of a cache
               is left for page structs is assumed
    python     this project's own runs on 2 processors, on a free-threaded interpreter (bench/native.py is the other)

How: analysis has no free parameter. python takes its costs from one CPU and from a bare lock between two threads, and
predicts throughput and waiting of two; it needs an idle host and about ten minutes.

What could fool it: agreement of sums. So waiting is compared beside throughput, and what is only illustrated is never
judged. `--section NAME` runs one of them; `--full FILE` keeps everything as JSON.
"""

import argparse
import bisect
import random
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.grid.point import COLD_AFTER_PAGES
from bench.harness import Claim, Record, main, write_json
from bench.real.bare import bare_lock
from bench.real.predicted import python
from uvmfree.machine.costs import Costs, costs_for
from uvmfree.measure.scale import Case, Point, Traffic, measured

MD1 = Claim("predict-md1-off-percent", "a bare lock at load 0.1 to 0.9 against M/D/1: mean wait", "percent", 10.0)
SATURATES = Claim("predict-mcs-saturation-ratio", "MCS saturates at 1 / (hold + hand-off)", "ratio", 0.98, True)
FLAT = Claim("predict-mcs-128-over-8", "MCS on 128 CPUs against 8: it stays flat", "ratio", 0.95, True)
FALLS = Claim("predict-ticket-128-over-8", "a ticket lock on 128 CPUs against 8: it falls", "ratio", 0.5)
HALF = Claim(
    "predict-half-of-linear-off-percent",
    "the CPUs at which fpageqlock is at half of linear, against 2 / (locks a second and CPU x (hold + hand-off))",
    "percent",
    15.0,
)

HOLD_NS, LINE_NS = 200, 50
MCS_LINES: Final = 3
"""Transfers of a hand-off of MCS: who is next, and the node of that one, there and back."""


def bare_costs(hold_ns: int = HOLD_NS, line_ns: int = LINE_NS) -> Costs:
    """Return a table for one lock that guards no lines, on a machine whose cores are all as far from each other."""
    lines = dict.fromkeys(("line_core", "line_complex", "line_socket", "line_remote", "line_memory"), float(line_ns))
    figures = {"sockets": 1, "socket_cores": 512, "complex_cores": 512, "core_threads": 1, "jitter_percent": 0}
    locks = {"other_hold": hold_ns, "other_lines": 0, "lock_acquire": 0, "lock_release": 0}
    return costs_for("one-socket").with_figures({**lines, **figures, **locks}, "bare")


def exponential(mean_ns: float) -> Callable[[random.Random], float]:
    """Return how to draw work of that mean: arrivals at random."""
    return lambda dice: dice.expovariate(1 / mean_ns)


def md1(load: float, locks: int) -> tuple[float, float]:
    """Return the mean wait at about this load, and what M/D/1 says of the load that there really was; ns.

    => M/D/1 has arrivals without end, so 512 CPUs stand for them; their load falls as they wait.
    """
    ncpus = 512
    costs = bare_costs(line_ns=0)
    seen = bare_lock("mcs", ncpus, exponential(ncpus * HOLD_NS / load), costs, locks)
    really = seen.per_us * HOLD_NS / 1000
    return seen.mean_wait_ns, really * HOLD_NS / (2 * (1 - really))


def half_of_linear(points: Sequence[Point]) -> float:
    """Return the CPU count at which throughput is half of what as many single CPUs would do; between two counts,
    by a straight line in what is left of linear."""
    alone = points[0].per_s
    left = [one.per_s / (alone * one.case.ncpus) for one in points]
    after = bisect.bisect_left([-share for share in left], -0.5)
    (a, b), (x, y) = left[after - 1 : after + 1], (points[after - 1].case.ncpus, points[after].case.ncpus)
    return x + (y - x) * (a - 0.5) / (a - b)


def saturated(think_ns: int, counts: Sequence[int]) -> tuple[float, float]:
    """Return where fpageqlock is at half of linear, and 2 / (locks a second and CPU x (hold + hand-off))."""
    case = partial(Case, "fpageqlock", traffic=Traffic("pingpong", think_ns=think_ns), costs="one-socket", lock="mcs")
    points = [point for n in counts if (point := measured(case(ncpus=n))) is not None]
    alone = points[0]
    per_ns = alone.shared_acquired / alone.window_ns
    ns = costs_for("one-socket").ns
    charged_ns = (ns("global_alloc") + ns("global_free")) / 2 + ns("page_moved") + ns("lock_release")
    hold_ns = charged_ns + ns("global_lines") * ns("line_socket")
    return half_of_linear(points), 2 / (per_ns * (hold_ns + MCS_LINES * ns("line_socket")))


def analysis(smoke: bool, full: dict[str, Any]) -> list[Record]:
    """Compare with what can be worked out on paper."""
    print("\nanalysis: nothing fitted")
    loads = (0.1, 0.5) if smoke else (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
    waits = {load: md1(load, 20_000 if smoke else 300_000) for load in loads}
    for load, (seen, said) in waits.items():
        print(f"  load {load}: mean wait {seen:8.1f} ns, M/D/1 {said:8.1f}, {100 * (seen / said - 1):+.1f} %")
    locks = 5_000 if smoke else 50_000
    even, costs = (lambda dice: dice.uniform(0, 200)), bare_costs()
    rates = {(p, n): bare_lock(p, n, even, costs, locks).per_us for p in ("mcs", "ticket") for n in (8, 32, 128)}
    most = 1000 / (HOLD_NS + MCS_LINES * LINE_NS)
    for (policy, ncpus), rate in rates.items():
        print(f"  {policy:<7}{ncpus:4} CPUs: {rate:6.3f} a us; 1 / (hold + hand-off of mcs) {most:6.3f}")
    found, said = saturated(4000, (1, 8, 16, 24, 32, 40, 48, 64, 96))
    print(f"  fpageqlock at half of linear: {found:.1f} CPUs, on paper {said:.1f}, {100 * (found / said - 1):+.1f} %")
    full["analysis"] = {
        "fitted": {},
        "predicted": {
            "md1_wait_ns": {str(load): {"virtual": seen, "paper": said} for load, (seen, said) in waits.items()},
            "per_us": {f"{policy}, {ncpus}": rate for (policy, ncpus), rate in rates.items()},
            "half_of_linear_cpus": {"virtual": found, "paper": said},
        },
    }
    off = [abs(100 * (seen / said - 1)) for seen, said in waits.values()]
    return [
        MD1.record([max(off)], judged=not smoke),
        SATURATES.record([min(rates["mcs", n] / most for n in (32, 128))], judged=not smoke),
        FLAT.record([rates["mcs", 128] / rates["mcs", 8]], judged=not smoke),
        FALLS.record([rates["ticket", 128] / rates["ticket", 8]], judged=not smoke),
        HALF.record([abs(100 * (found / said - 1))], judged=not smoke),
    ]


COLD_DESIGNS: Final = (("fpageqlock", ()), ("percpu", ("refill=1",)), ("percpu", ("refill=32",)))


def cold(smoke: bool, full: dict[str, Any]) -> list[Record]:
    """Show each curve without cold structs, with them, and with every struct cold."""
    print("\ncold: an illustration. A struct is cold once the CPU that touched it last has touched so many pages.")
    print("Lists are LIFO and runs are short: what comes back is warm, unless the cache is hardly any.")
    kinds = {"never": 0, "after 1764 pages": COLD_AFTER_PAGES, "nearly always": 1}
    counts = (2,) if smoke else (2, 8, 32, 128)
    kept: dict[str, Any] = {}
    for workload in ("handoff",) if smoke else ("pingpong", "handoff", "forkexit", "trace"):
        for design, settings in COLD_DESIGNS[:1] if smoke else COLD_DESIGNS:
            for name, pages in kinds.items():
                curve = []
                for ncpus in counts:
                    case = Case(design, ncpus, Traffic(workload), settings=settings)
                    point = measured(Case(**{**_plain(case), "changed": {"cold_after_pages": pages}}))
                    if point is not None:
                        curve.append((ncpus, point.per_s / 1e6, point.wait_share_percent))
                label = f"{workload}, {case.label}, cold {name}"
                kept[label] = curve
                shown = "  ".join(f"{rate:7.2f} ({wait:4.1f})" for _, rate, wait in curve)
                print(f"  {label:<50} {shown}")
    print(f"  CPUs: {', '.join(map(str, counts))}; millions of page operations a second (wait share, percent)")
    full["cold"] = {"illustration": kept}
    return []


def _plain(case: Case) -> dict[str, Any]:
    return {name: getattr(case, name) for name in Case.__dataclass_fields__}


SECTIONS: Final[dict[str, Callable[[bool, dict[str, Any]], list[Record]]]] = {
    "analysis": analysis,
    "cold": cold,
    "python": python,
}


def bench(sections: Sequence[str], file: Path | None, smoke: bool) -> list[Record]:
    """Run sections: those that were asked for, or all; a short run leaves out what sets up another interpreter."""
    full: dict[str, Any] = {}
    sections = sections or [name for name in SECTIONS if not (smoke and name == "python")]
    records = [record for name in sections for record in SECTIONS[name](smoke, full)]
    if file is not None:
        write_json(file, full)
    return records


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--section", choices=SECTIONS, action="append")
    parser.add_argument("--full", type=Path)
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__, partial(bench, mine.section or [], mine.full)))
