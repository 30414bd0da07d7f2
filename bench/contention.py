"""Claims: on real page traffic percpu takes the global lock far more rarely than fpageqlock.

On cc-j4, per page operation, at most 1/3 as often with refill=1 (one page for each miss, the proposal's letter and
the default) and at most 1/100 as often with refill=32. The other two traces are measured beside it, without a bound.

How: each trace on one thread for each of its CPUs, lockstat on: the acquisitions of uvm_fpageqlock by whomever but
observers and audits, divided by the page operations, which are the successful pagealloc() and pagefree(). Beside it,
pages that went between caches and global list per page operation: ours, from what each CPU counted, and Linux's own
on the same work, from the trace. fpageqlock has no cache: it moves every page.

What could fool it: a trace is replayed in less time than it was recorded in, mostly under a second, so that the xc
threads, which hand the caches back once a second, hand back nothing. Therefore percpu runs twice: as booted, which is
what the claim speaks of, and *paced*, with the interval shortened as the replay is, so that as many redistributions
fall into it as would have fallen into the recording. Counts depend on how the threads interleave; hence repetitions,
with their extremes. Moving more pages at a time is no merit by itself, since pages in one CPU's cache are out of
reach of all others: see the moved pages.
"""

import sys
from dataclasses import dataclass
from functools import partial

from bench.harness import TRACES, Claim, Record, driven, interleaved, main, no_gc, spread
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.system import OBSERVER, Uvm
from uvmfree.workload.replay import bodies
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.trace import Trace, bundled_trace, read_trace

TRACE_NAMES = ("cc-j4", "fork-exec", "untar-scan")
JUDGED_TRACE = "cc-j4"
BOUNDS = {1: 1 / 3, 32: 1 / 100}
"""By refill: how often percpu may take the global lock for each time that fpageqlock does, on cc-j4."""


@dataclass(frozen=True, slots=True)
class Config:
    """One column of runs. => `paced`: the redistribution interval is shortened as much as the replay is."""

    name: str
    design: str
    refill: int = 1
    paced: bool = False


CONFIGS = [
    Config("fpageqlock", "fpageqlock"),
    *(Config(f"percpu, refill={refill}", "percpu", refill) for refill in BOUNDS),
    *(Config(f"percpu, refill={refill}, paced", "percpu", refill, paced=True) for refill in BOUNDS),
]

NOT_COUNTED = frozenset({OBSERVER, "uvm_audit"})
REPETITIONS = 5


def lock_per_op(uvm: Uvm) -> float:
    """Return how often the global lock was taken per page operation."""
    ops = sum(cpu.allocs + cpu.frees for cpu in uvm.cpu_stats())
    taken = sum(
        record.acquired
        for record in uvm.lockstat(by_caller=True)
        if record.name == "uvm_fpageqlock" and record.caller not in NOT_COUNTED
    )
    return taken / ops


class Bout:
    """The runs of one trace in all configurations.

    => `moved`, `handed_back`: by configuration, one value for each run: pages moved per page operation, and the
       pages that redistributions handed back. `wall_s`: by refill, how long its last run with percpu's default took.
    """

    def __init__(self, name: str, trace: Trace) -> None:
        self.name = name
        self.plan = plan(trace)
        self.duration_s = trace.counts.duration_s
        self.linux_moved_per_op = trace.counts.linux_moved_per_op
        self.moved: dict[str, list[float]] = {config.name: [] for config in CONFIGS}
        self.handed_back: dict[str, list[float]] = {config.name: [] for config in CONFIGS}
        self.wall_s: dict[int, float] = {}

    def run(self, config: Config) -> float:
        """Replay once; return the acquisitions per page operation, note the rest."""
        interval_s = Param().redistribute_interval_s
        if config.paced:
            interval_s *= self.wall_s[config.refill] / self.duration_s
        with boot(
            ncpus=len(self.plan.programs),
            design=config.design,
            redistribute_interval_s=interval_s,
            lockstat=True,
            own=(("percpu.refill", config.refill),),
        ) as uvm:
            uvm.physmem.populate()
            with no_gc():
                done = driven(uvm, bodies(self.plan, uvm))
            found = lock_per_op(uvm)
            stats = uvm.cpu_stats()
            uvm.audit()
        if config.design == "percpu" and not config.paced:
            self.wall_s[config.refill] = done.wall_ns / 1e9
        handed_back = sum(cpu.drained for cpu in stats)
        ops = self.plan.allocs + self.plan.frees
        self.moved[config.name].append((sum(cpu.filled for cpu in stats) + handed_back) / ops)
        self.handed_back[config.name].append(handed_back if config.design == "percpu" else 0)
        return found

    def measure(self, smoke: bool) -> list[Record]:
        """Run all configurations in turn, print this trace's part of the table, return its records."""
        locks = interleaved(
            {config.name: partial(self.run, config) for config in CONFIGS},
            1 if smoke else REPETITIONS,
            warm_up=False,
        )
        for config in CONFIGS:
            self._print(config.name, spread(locks[config.name], 4), spread(self.moved[config.name], 4))
        linux = self.linux_moved_per_op
        self._print("Linux", "", "not recorded" if linux is None else f"{linux:.4f}")
        records = []
        for config in CONFIGS[1:]:
            judged = self.name == JUDGED_TRACE and not config.paced
            claim = Claim(
                "global-lock-per-op-ratio",
                f"{self.name}: acquisitions of the global lock per page operation, {config.name} against fpageqlock",
                "ratio of counts",
                BOUNDS[config.refill] if judged else None,
            )
            pairs = zip(locks[config.name], locks["fpageqlock"], strict=True)
            records.append(claim.record([ours / before for ours, before in pairs], judged=judged))
        return records

    def _print(self, design: str, locks: str, moved: str) -> None:
        back = spread(self.handed_back[design]) if design in self.handed_back else ""
        print(f"  {self.name:<11} {design:<24} {locks:<24} {moved:<24} {back}".rstrip())


def bench(smoke: bool) -> list[Record]:
    """Replay the three traces; a smoke run takes only the short one of the package, and judges nothing."""
    files = {"cc-j4-cut": bundled_trace()} if smoke else {name: TRACES / f"{name}.perf.xz" for name in TRACE_NAMES}
    print(f"  {'':<11} {'':<24} {'global lock, per op':<24} {'pages moved, per op':<24} pages redistributed")
    return [record for name, file in files.items() for record in Bout(name, read_trace(file)).measure(smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
