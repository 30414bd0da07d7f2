"""Scaling: what a design does at 1, 2, 4, ... 256 CPUs, each a run in virtual time that ends with its time.

=> A case is one run; any process on any machine can measure it, and it comes out the same. What is counted begins
   when the warm-up is over: filling the caches is in proportion to their number, and would pass for contention.
=> Loads have no end of their own. A trace is played as copies (workload/copies.py), so it needs whole ones.
=> Times are those of the machine's table of costs (machine/costs.py), and are called virtual wherever they are shown.
"""

from __future__ import annotations

import functools
import gc
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import ArgumentError
from uvmfree.kern.collector import collector_off
from uvmfree.kern.lockrank import PAGE_LOCKS
from uvmfree.machine.costs import Costs, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.cell import Worker
from uvmfree.measure.mark import Mark
from uvmfree.measure.settings import check_used, parse_settings
from uvmfree.measure.waiters import by_whom
from uvmfree.measure.workloads import PAGES_PER_CPU
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.system import OBSERVER, Uvm
from uvmfree.workload import pressure, synthetic
from uvmfree.workload.copies import copies
from uvmfree.workload.driver import Body, Lane, drive
from uvmfree.workload.load import Load
from uvmfree.workload.replay_plan import Plan, plan
from uvmfree.workload.thinking import THINK_NS, thinking
from uvmfree.workload.trace import bundled_trace, read_trace

ENDLESS: Final = 1 << 40
"""Pages, or rounds, of a load that is to last as long as the run."""

WARM_OPS: Final = 400
"""Page operations before counting begins, for each CPU: twice what fills the caches of a load of bursts."""

COUNTED_OPS: Final = 300
"""Page operations that are counted, for each CPU; at least."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the CPUs do: `kind` is "trace", "pingpong", "handoff" or "forkexit".

    => `trace`: the file, None for the one that ships. `think_ns`: of synthetic loads; a trace has its own gaps,
       each `slower` times as long as it was recorded.
    """

    kind: str = "trace"
    trace: str | None = None
    think_ns: int = THINK_NS
    slower: int = 1

    @property
    def name(self) -> str:
        """What it is called in tables."""
        if self.kind == "trace":
            name = f"copies of {Path(bundled_trace() if self.trace is None else self.trace).name}"
            return name if self.slower == 1 else f"{name}, {self.slower} times slower"
        return f"{self.kind}, {self.think_ns} ns outside between operations"

    def least_cpus(self) -> int:
        """The fewest CPUs that can do it; it takes a multiple of them. ArgumentError, TraceError."""
        if self.kind == "trace":
            return len(_plan(self.trace, self.slower).programs)
        if self.kind not in ("pingpong", "handoff", "forkexit"):
            raise ArgumentError(f"--workload {self.kind}: must be trace, pingpong, handoff or forkexit")
        return 2 if self.kind == "handoff" else 1

    def ops_per_s(self) -> float:
        """Page operations that a CPU asks for in a second, as far as nobody waits."""
        if self.kind == "trace":
            made = _plan(self.trace, self.slower)
            return (made.allocs + made.frees) / self.loop_s() / len(made.programs)
        return 1e9 / (self.think_ns + FREE_OP_NS)

    def loop_s(self) -> float:
        """How long the trace lasts, once through; only of a trace."""
        return sum(_plan(self.trace, self.slower).programs[0].gaps_ns) / 1e9

    def live_pages(self, ncpus: int) -> int:
        """The most pages that it holds at once."""
        if self.kind == "trace":
            made = _plan(self.trace, self.slower)
            return made.live_peak * (ncpus // len(made.programs))
        if self.kind == "handoff":
            return synthetic.PARCEL_PAGES * (synthetic.PARCELS_MAX + 2) * (ncpus // 2)
        return (2 * ncpus + 1) * pressure.BURST_PAGES

    def load(self, uvm: Uvm, machine: VirtualMachine, seed: int) -> Load:
        """Make it for all CPUs of a system on that machine, before that starts."""
        ncpus, charge = uvm.param.ncpus, machine.charge
        if self.kind == "trace":
            made = _plan(self.trace, self.slower)
            return copies(uvm, made, ncpus // len(made.programs), seed, machine.acts_as)
        if self.kind == "forkexit":
            return pressure.forkexit(uvm, ENDLESS, self.think_ns)
        bodies = (
            synthetic.handoff(ncpus, ENDLESS, machine.event)
            if self.kind == "handoff"
            else synthetic.pingpong(ncpus, ENDLESS, look_bursts=1)
        )
        return Load(uvm, thinking(bodies, charge, self.think_ns))


GIVEN: Final = {"ncpus": "--cpus", "design": "--design", "lockstat": "each run"}
"""Tunables that a case has already, and what sets them."""

FREE_OP_NS: Final = 70
"""About what an operation takes where nobody waits; only to say how long a run should last."""


@functools.lru_cache(maxsize=4)
def _plan(trace: str | None, slower: int) -> Plan:
    """Read a trace once in each process."""
    read = read_trace(bundled_trace() if trace is None else trace)
    return plan(replace(read, time_ns=array("q", (slower * at_ns for at_ns in read.time_ns))), loop=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One run: plain values, so that it can be sent to another process.

    => `costs`: the name of a set; `changed`: figures that replace its own. `varied`: whether some are halved or
       doubled, for the band. `lock`: the policy of shared locks.
    => `settings`: tunables as NAME=VALUE.
    """

    design: str
    ncpus: int
    traffic: Traffic
    costs: str = "xeon-2s"
    changed: dict[str, float] = field(default_factory=dict)
    varied: bool = False
    lock: str = "ttas"
    seed: int = 1
    settings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells a design apart from others on one curve: its name, and its tunables."""
        return ", ".join([self.design, *self.settings])

    def table(self) -> Costs:
        """Return its costs; ParamError."""
        return costs_for(self.costs).with_figures(self.changed, "--cost")

    def machine(self) -> VirtualMachine:
        """Make what it runs on; ParamError."""
        return VirtualMachine(ncpus=self.ncpus, costs=self.table(), lock=self.lock, seed=self.seed, lockstat=True)

    def param(self) -> Param:
        """Return its tunables; ParamError."""
        npages = self.traffic.live_pages(self.ncpus) + PAGES_PER_CPU * self.ncpus
        option = f"--design {self.design},"
        tunables = parse_settings(self.settings, given=GIVEN, option=option, designs=(self.design,))
        return Param(**{"npages": npages} | tunables, ncpus=self.ncpus, design=self.design, lockstat=True)

    def check(self) -> None:
        """Refuse what cannot be run: ArgumentError, ParamError."""
        least = self.traffic.least_cpus()
        if self.ncpus % least:
            raise ArgumentError(f"{self.ncpus} CPUs: {self.traffic.kind} needs a multiple of {least}")
        self.machine()
        self.param()
        check_used(self.settings, (self.design,), f"--design {self.design},")


@dataclass(frozen=True, slots=True)
class Point:
    """What a case came to, after the warm-up; times are virtual.

    => `operations`: pages allocated and freed in `window_ns`, by all CPUs. `failed`: allocations that got none.
    => `wait_ns`: waiting for page locks, of all CPUs, without their kernel threads. `held_ns`: for which shared page
       locks were held; `shared_acquired`: how often they were taken.
    => `words_wait_ns`: waiting for shared words that others were updating, of all.
    => `outside_ns`: the time that all CPUs spent in recorded gaps between operations, where the load has them;
       `stall_ns`: that in which they waited for each other, since a page is freed after it was allocated.
    """

    case: Case
    window_ns: int
    operations: int
    wait_ns: int
    held_ns: int
    shared_acquired: int
    failed: int
    outside_ns: int | None = None
    stall_ns: int | None = None
    words_wait_ns: int | None = None

    @property
    def per_s(self) -> float:
        """Page operations in a virtual second."""
        return self.operations / self.window_ns * 1e9

    @property
    def wait_share_percent(self) -> float:
        """Of all CPUs' time, what went into waiting for page locks."""
        return 100 * self.wait_ns / (self.window_ns * self.case.ncpus)

    @property
    def words_share_percent(self) -> float | None:
        """Of all CPUs' time, what went into waiting for shared words; None in a document that did not tell."""
        return None if self.words_wait_ns is None else 100 * self.words_wait_ns / (self.window_ns * self.case.ncpus)

    @property
    def busy_percent(self) -> float:
        """Of the time, that in which the shared lock was held; with several of them, their sum."""
        return 100 * self.held_ns / self.window_ns


def measured(case: Case, stop: Callable[[], bool] = lambda: False) -> Point | None:
    """Run a case; None if `stop()` came in between. ArgumentError, ParamError if it cannot be."""
    case.check()
    if stop():
        return None
    traffic = case.traffic
    machine = case.machine()
    gc.collect()  # what is left of the run before: nothing is collected until this one is over
    with collector_off():
        uvm = boot(machine, **asdict(case.param()))
        load = traffic.load(uvm, machine, case.seed)
        meter = _Meter(case, uvm, load, machine)
        with uvm:
            drove = drive(uvm, [meter.watching(body) for body in load.bodies], stop)
            return None if drove.interrupted else meter.point


def measured_here(case: Case) -> Point | None:
    """Run a case in a process that measures (measure/executors.py), which is told there when to give up."""
    return measured(case, Worker.stop)


class _Meter:
    """Sets the mark when the warm-up is over, and ends the run when enough has been counted: then there is a `point`.

    => Warm-up and counting last for `part_s`, and until the CPUs have done so much, taken together: where all of them
       wait for one lock that is much longer. The warm-up also waits for the slowest CPU, within reason: who has yet
       to fill its cache does so at once.
    => It stands outside of time: looking costs no CPU anything.
    """

    def __init__(self, case: Case, uvm: Uvm, load: Load, machine: VirtualMachine) -> None:
        self.point: Point | None = None
        self._case, self._uvm, self._words_waited_ns = case, uvm, machine.words_waited_ns
        self._clocks = load.outside_ns, load.stall_ns
        self._part_s = COUNTED_OPS / case.traffic.ops_per_s()
        self._lanes: list[Lane] = []

    def watching(self, body: Body) -> Body:
        """Let the warm-up begin with the first body to begin."""

        def begun(cpu: Any, lane: Lane) -> None:
            self._lanes.append(lane)
            if len(self._lanes) == 1:
                self._uvm.machine.spawn("meter", self._run)
            body(cpu, lane)

        return begun

    def _run(self) -> None:
        self._sleep(WARM_OPS // 2, WARM_OPS)
        mark, failed, before = Mark(self._uvm), self._failed(), self._beside()
        words_ns = self._words_waited_ns()
        self._sleep(0, COUNTED_OPS)
        locks = [lock for lock in self._uvm.lockstat(by_caller=True) if lock.caller != OBSERVER]
        pages = [lock for lock in locks if lock.kind in PAGE_LOCKS]
        shared = [lock for lock in pages if lock.kind == "shared"]
        outside_ns, stall_ns = (
            None if now is None or was is None else now - was for was, now in zip(before, self._beside(), strict=True)
        )
        self.point = Point(
            self._case,
            window_ns=self._uvm.machine.clock_ns() - mark.began_ns,
            operations=sum(cpu.allocs + cpu.frees for cpu in mark.cpus()),
            wait_ns=sum(lock.wait_ns_total for lock in by_whom(pages, mark.redistributions()["retry"])[0]),
            held_ns=sum(lock.hold_ns_total for lock in shared),
            shared_acquired=sum(lock.acquired for lock in shared),
            failed=self._failed() - failed,
            outside_ns=outside_ns,
            stall_ns=stall_ns,
            words_wait_ns=self._words_waited_ns() - words_ns,
        )
        self._lanes[0].end_run()

    def _sleep(self, least: int, mean: int) -> None:
        """Sleep for a part of the run, and on until so many operations have been done since, by each CPU on average.

        => Until the slowest has done `least`, too, but no longer than four times as long as that.
        """
        began = self._done()
        self._uvm.machine.sleep(self._part_s)
        while True:
            each = [now - before for now, before in zip(self._done(), began, strict=True)]
            if sum(each) >= mean * len(each) and (min(each) >= least or sum(each) >= 4 * mean * len(each)):
                return
            self._uvm.machine.sleep(self._part_s / 4)

    def _done(self) -> list[int]:
        return [cpu.allocs + cpu.frees for cpu in self._uvm.cpu_stats()]

    def _beside(self) -> list[int | None]:
        return [None if clock_ns is None else clock_ns() for clock_ns in self._clocks]

    def _failed(self) -> int:
        return sum(lane.failed for lane in self._lanes)


GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "lines": ("line_core", "line_complex", "line_socket", "line_remote"),
    "holds": ("global_alloc", "global_free", "page_moved", "item_moved", "splice", "other_hold"),
    "locks": ("lock_acquire", "lock_release", "atomic", "spin_pause", "ticket_spinner"),
    "outside": ("cached_alloc", "cached_free", "global_outside"),
}
"""Costs that are halved and doubled together for the band: what a figure means if they are off by so much."""


def band(case: Case) -> list[Case]:
    """Return the cases in which each group of costs is halved, and doubled."""
    table = case.table()

    def scaled(names: tuple[str, ...], factor: float) -> Case:
        return replace(case, changed=case.changed | {name: table.figures[name].value * factor for name in names})

    return [replace(scaled(names, factor), varied=True) for names in GROUPS.values() for factor in (0.5, 2)]
