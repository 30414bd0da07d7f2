"""Claims: on Python 3.11 a replay runs at least 400,000 page events a second on fpageqlock and percpu, 200,000 on any
design, 100,000 on llfree.

How: the trace cc-j4 on one thread for each of its CPUs, lockstat off, the designs in turn, each on a system of its
own with RAM populated and xc threads running. The rate is the allocations and frees of the plan divided by the time
from the first thread's beginning to the last one's end; the plan is made before. Each claim is judged on the slowest
of its designs. On other interpreters the rate is measured and not judged: the claims speak of 3.11.

llfree has a bound to itself: a word that hardware swaps in one instruction is a lock here, three or four times an
operation.

What could fool it: page faults of the host, where zeroing touches RAM for the first time (hence populate()); events
that were skipped, which are not counted; allocations that failed, which end the script; time that threads stalled for
each other, which belongs to a replay and is printed.
"""

import sys
from functools import partial

from bench.harness import REPETITIONS, TRACES, Claim, Record, driven, interleaved, main, no_gc, spread
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import PAIR, REGISTRY
from uvmfree.workload.replay import bodies
from uvmfree.workload.replay_plan import Plan, plan
from uvmfree.workload.trace import bundled_trace, read_trace

SWAPS = "llfree"
"""The design that a kernel would not write with locks."""

CLAIMS = {
    Claim(
        "replay-events-per-s",
        "replay of cc-j4 on Python 3.11, lockstat off, the slower of fpageqlock and percpu",
        "page events a second",
        400_000,
        True,
    ): PAIR,
    Claim(
        "replay-any-events-per-s",
        "the same, the slowest of all designs but llfree",
        "page events a second",
        200_000,
        True,
    ): tuple(design for design in REGISTRY if design != SWAPS),
    Claim("replay-llfree-events-per-s", "the same, llfree", "page events a second", 100_000, True): (SWAPS,),
}
"""Each claim, and of which designs it speaks."""


def rate(design: str, planned: Plan, stalls: list[float]) -> float:
    """Return the page events a second of one replay; note the share of its time that threads stalled."""
    ncpus = len(planned.programs)
    with boot(ncpus=ncpus, design=design) as uvm:
        uvm.physmem.populate()
        with no_gc():
            done = driven(uvm, bodies(planned, uvm))
    stalls.append(100 * sum(done.stall_ns) / (ncpus * done.wall_ns))
    return (planned.allocs + planned.frees) / done.wall_ns * 1e9


def bench(smoke: bool) -> list[Record]:
    """Replay with all designs in turn; a smoke run takes the short trace of the package, and three designs."""
    trace = read_trace(bundled_trace() if smoke else TRACES / "cc-j4.perf.xz")
    planned = plan(trace)
    stalls: dict[str, list[float]] = {design: [] for design in ((*PAIR, SWAPS) if smoke else REGISTRY)}
    rates = interleaved(
        {design: partial(rate, design, planned, stalls[design]) for design in stalls},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    print(f"  {trace.name}: {planned.allocs + planned.frees:,} page events on {len(planned.programs)} CPUs")
    for design, values in rates.items():
        print(
            f"  {design:<16} {spread(values)} page events a second, stalled {spread(stalls[design], 1)} % of the time"
        )
    is_311 = sys.version_info[:2] == (3, 11)
    if not is_311:
        print("  not judged: the claims speak of Python 3.11")
    return [
        claim.record(
            [min(values) for values in zip(*(rates[design] for design in designs if design in rates), strict=True)],
            judged=is_311 and not smoke,
        )
        for claim, designs in CLAIMS.items()
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
