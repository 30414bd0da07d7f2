"""Stress runs: options, one supervised run for each design, their records, and the document of all of them.

=> The thread that calls takes none of the system's locks: it hears Ctrl-C, shows progress and is the watchdog, while
   the run has a thread of its own. A run that hangs is left as it is; its threads end with the process.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from uvmfree.errors import ArgumentError
from uvmfree.kern.lockstat import LockStat, summed
from uvmfree.kern.locktrace import Slice
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.facts import WorkloadFacts
from uvmfree.measure.host import host
from uvmfree.measure.observer import Observation, watch
from uvmfree.measure.record import Record
from uvmfree.measure.settings import parse_settings
from uvmfree.measure.stress_failure import causes, tail, whole, written
from uvmfree.measure.stress_run import StressRun
from uvmfree.measure.watchdog import PATIENCE_S, Watchdog, lock_lines, stack_lines
from uvmfree.param import Param
from uvmfree.uvm.system import OBSERVER, Uvm
from uvmfree.workload.faults import FAULTS
from uvmfree.workload.stress import Plan, Stress
from uvmfree.workload.stress_fault import Fault

SECONDS_MIN, SECONDS_MAX = 0.1, 7 * 86400.0

GIVEN: Final = {"npages": "--npages", "ncpus": "--cpus", "design": "--design", "lockstat": "--format"}
"""Tunables that --set does not set, and what does."""

OFTEN: Final[dict[str, Any]] = {
    "nfreelists": 2,
    "idlezero": True,
    "idle_interval_s": 0.002,
    "redistribute_interval_s": 0.05,
    "redistribute_min_gap_s": 0.005,
}
"""Tunables of a stress run where they differ from Param's: all that happens by itself happens, and often."""

PER_CPU: Final = ("idle_interval_s", "redistribute_interval_s")
OFTEN_CPUS: Final = 8
"""What each CPU does by itself; beyond so many CPUs each does it less often, or that would be all they do."""

SWITCH_S: Final = 1e-4
"""How long a thread may keep the GIL, where there is one: a fiftieth of the default, for as many more orders."""

_TICK_S: Final = 0.05
"""How often the supervising thread looks up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for; ArgumentError or ParamError where it makes no sense.

    => `settings`: tunables as NAME=VALUE. `faults`: names. The same options and design make the same programs.
    => `lockstat`: the locks count. It changes no program, but slows every lock down.
    """

    seconds: float = 10.0
    seed: int = 1
    ncpus: int = 4
    npages: int = 2048
    faults: tuple[str, ...] = tuple(FAULTS)
    settings: tuple[str, ...] = ()
    lockstat: bool = False

    def __post_init__(self) -> None:
        if not SECONDS_MIN <= self.seconds <= SECONDS_MAX:
            raise ArgumentError(f"--seconds {self.seconds:g}: must be from {SECONDS_MIN:g} to {SECONDS_MAX:g}")
        if self.seed < 0:
            raise ArgumentError(f"--seed {self.seed}: must be a whole number, 0 or more")
        if self.seed >> 63:
            raise ArgumentError(f"--seed {self.seed}: must be less than 2**63, so that a record can keep it")
        if not 1 <= self.ncpus <= 128:
            raise ArgumentError(f"--cpus {self.ncpus}: must be from 1 to 128")
        self.param("percpu")

    def param(self, design: str) -> Param:
        """Return the tunables of a system of that design."""
        given = parse_settings(self.settings, given=GIVEN)
        here = {"npages": self.npages, "ncpus": self.ncpus, "design": design, "lockstat": self.lockstat}
        many = max(1.0, self.ncpus / OFTEN_CPUS)
        often = {name: value * many if name in PER_CPU else value for name, value in OFTEN.items()}
        return Param(**often | given | here)

    def command(self, design: str) -> str:
        """Return the command line that runs one design with these options."""
        words = ["uvmfree", "stress", "--design", design, "--seed", self.seed, "--seconds", f"{self.seconds:g}"]
        words += ["--cpus", self.ncpus, "--npages", self.npages, "--faults", ",".join(self.faults) or "none"]
        for setting in self.settings:
            words += ["--set", setting]
        if self.lockstat:
            words += ["--format", "netbsd"]
        return shlex.join(map(str, words))


def stress(
    options: Options,
    design: str,
    *,
    stop: Callable[[], bool] = lambda: False,
    tick: Callable[[Stress, float], None] = lambda run, elapsed_s: None,
    more: tuple[Fault, ...] = (),
    patience_s: float = PATIENCE_S,
    counters: CounterFile | None = None,
    keep: Callable[[tuple[Slice, ...], int], None] | None = None,
) -> StressRun:
    """Stress one design; end early when `stop()` says so.

    => `counters`: where it can be watched; the caller closes it. `keep(slices, dropped)`, if given, gets what was
       traced of its locks, all of which are traced then, and count.
    => `tick(run, elapsed_s)` is called every now and then. `more`: faults beside those of the options.
    => What goes wrong is in the record, not raised.
    """
    traced = keep is not None
    param = replace(options.param(design), lockstat=options.lockstat or traced)
    if counters is not None:
        counters.begin(param)
    machine = ThreadsMachine(
        lockstat=param.lockstat,
        lockdebug=param.lockdebug,
        lockwatch=True,
        locktrace=traced,
    )
    assert machine.lockwatch is not None
    plan = Plan(param=param, seed=options.seed, seconds=options.seconds, faults=options.faults)
    run = Stress(plan, machine, machine.lockwatch, more)
    record = StressRun(design, options.command(design), lockstat=param.lockstat)
    observed: list[tuple[Observation, tuple[LockStat, ...]]] = []

    @contextmanager
    def observe() -> Iterator[None]:
        with watch(run.uvm, counters) as observation:
            yield
        observed.append((observation, _locks(run.uvm)))

    watchdog = Watchdog(machine.clock_ns, run.progress, run.each, patience_s, 2 * _TICK_S)
    hang: list[str] = []
    with _switching_often():
        began_ns = machine.clock_ns()
        task = machine.spawn("stress", lambda: run.run(observe))
        while not task.join(_TICK_S):
            elapsed_s = (machine.clock_ns() - began_ns) / 1e9
            tick(run, elapsed_s)
            _measure_memory(record, elapsed_s < options.seconds / 10)
            if not record.interrupted and stop():
                record.interrupted = True
                run.stop()
            if (still := watchdog.still()) is not None:
                hang = _hang(still, machine)
                record.hung = True
                run.stop()
                break
        now_ns = machine.clock_ns()
    gc.collect()
    _measure_memory(record, early=False)
    record.wall_s = (run.wall_ns or now_ns - began_ns) / 1e9
    record.operations = run.operations()
    record.failed = run.failed()
    record.faults = {
        fault.name: {"injected": fault.injected, "survived": fault.survived} | fault.details() for fault in run.faults
    }
    if observed:
        observation, record.locks = observed[0]
        record.seen, record.samples = observation.seen, observation.samples.samples()
    record.events, record.events_dropped = run.uvm.events.snapshot(), run.uvm.events.dropped
    if keep is not None and machine.locktrace is not None and not record.hung:
        keep(machine.locktrace.slices(), machine.locktrace.dropped())
    if counters is not None and not record.hung:
        counters.end()
    record.uvmexp, record.anons = run.uvmexp, run.anons
    record.errors = (*([hang[0]] if hang else []), *causes(run.shared.failures()))
    if record.errors:
        record.file = written(
            f"uvmfree-stress-{design}-{options.seed}.txt", list(whole(run, record.command, now_ns, hang))
        )
        record.report = (*(hang or causes(run.shared.failures())), *tail(run, now_ns))
    return record


def new_record(options: Options, designs: tuple[str, ...], command: tuple[str, ...] = ()) -> Record:
    """Return the record of a stress run that has yet to begin, here and now."""
    here = replace(host(), switch_interval_s=SWITCH_S)
    facts = WorkloadFacts("stress", options.ncpus, None)
    return Record(
        "stress",
        here,
        facts,
        options.param(designs[0]),
        designs,
        command=command,
        seed=options.seed,
        seconds=options.seconds,
        faults=options.faults,
    )


def _hang(still: str, machine: ThreadsMachine) -> list[str]:
    """Return what everybody is doing: locks first, since the stacks are of threads that may be running."""
    assert machine.lockwatch is not None
    states = machine.lockwatch.states()
    stacks = machine.stacks()
    names = {stack.ident: stack.name for stack in stacks}
    return [still, *(lock_lines(states, names) or ["no lock is held"]), *stack_lines(stacks)]


def _locks(uvm: Uvm) -> tuple[LockStat, ...]:
    """Return what the locks counted: all maps' locks of a name together, the observer left out.

    => Audits stay in: they stop everything, and who waited for one should find it.
    """
    if not uvm.param.lockstat:
        return ()
    return summed((lock for lock in uvm.lockstat(by_caller=True) if lock.caller != OBSERVER), by_caller=True)


def _measure_memory(record: StressRun, early: bool) -> None:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            rss_kib = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    except OSError:
        return
    record.rss_kib_max = max(record.rss_kib_max, rss_kib)
    record.rss_kib_end = rss_kib
    if early:
        record.rss_kib_early = rss_kib


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
