"""Stress runs: options, one supervised run for each design, their records, and the document of all of them.

=> The thread that calls takes none of the system's locks: it hears Ctrl-C and shows progress, while the run and the
   watchdog have threads of their own. A run that hangs is left as it is; its threads end with the process.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from uvmfree.errors import ArgumentError, DeadlockError
from uvmfree.kern.lockstat import LockStat, summed
from uvmfree.kern.locktrace import Slice
from uvmfree.machine.face import WatchedMachine
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.facts import WorkloadFacts
from uvmfree.measure.host import host
from uvmfree.measure.observer import Observation, watch
from uvmfree.measure.record import Record
from uvmfree.measure.settings import parse_settings, unused
from uvmfree.measure.stress_run import StressRun
from uvmfree.param import Param
from uvmfree.stress.digest import digest, order
from uvmfree.stress.engine import Plan, Stress
from uvmfree.stress.failure import causes, tail, whole, written
from uvmfree.stress.fault import Fault
from uvmfree.stress.faults import FAULTS
from uvmfree.stress.on_machine import THREADS, Kind, Virtual
from uvmfree.stress.turns_got import got
from uvmfree.stress.watchdog import PATIENCE_S, Watchdog, lock_lines, stack_lines
from uvmfree.uvm.system import OBSERVER, Uvm

SECONDS_MAX = 7 * 86400.0

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

TIMERS: Final = tuple(name for name in OFTEN if name.endswith("_s"))
"""Those that are times."""

PER_CPU: Final = ("idle_interval_s", "redistribute_interval_s")
OFTEN_CPUS: Final = 8
"""What each CPU does by itself; beyond so many CPUs each does it less often, or that would be all they do."""

SWITCH_S: Final = 1e-4
"""How long a thread may keep the GIL, where there is one: a fiftieth of the default, for as many more orders."""

_TICK_S: Final = 0.05
"""How often the watchdog looks up."""

OBSERVED_S: Final = 0.2
"""How often a system in virtual time is looked at: a hundred times in a run of 20 ms."""

END_S: Final = 1.0
"""How much virtual time a run that was found to hang has to end."""

TIMER_S_MIN: Final = 0.001
"""The shortest interval that a system does anything at by itself (Param)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for; ArgumentError or ParamError where it makes no sense.

    => `settings`: tunables as NAME=VALUE, of this package's designs, or of `designs`. `faults`: names. The same
       options and design make the same programs.
    => `lockstat`: the locks count. It changes no program, but slows every lock down.
    => `machine`: what it runs on. `seconds` are that machine's.
    """

    seconds: float = 10.0
    seed: int = 1
    ncpus: int = 4
    npages: int = 2048
    faults: tuple[str, ...] = tuple(FAULTS)
    settings: tuple[str, ...] = ()
    designs: tuple[str, ...] = ()
    lockstat: bool = False
    machine: Kind = THREADS

    def __post_init__(self) -> None:
        least = self.machine.seconds_min
        if not least <= self.seconds <= SECONDS_MAX:
            raise ArgumentError(f"--seconds {self.seconds:g}: must be from {least:g} to {SECONDS_MAX:g}")
        if self.seed < 0:
            raise ArgumentError(f"--seed {self.seed}: must be a whole number, 0 or more")
        if self.seed >> 63:
            raise ArgumentError(f"--seed {self.seed}: must be less than 2**63, so that a record can keep it")
        if not 1 <= self.ncpus <= 128:
            raise ArgumentError(f"--cpus {self.ncpus}: must be from 1 to 128")
        self.param("percpu")

    def param(self, design: str) -> Param:
        """Return the tunables of a system of that design."""
        given = parse_settings(self.settings, given=GIVEN, designs=(*self.designs, design))
        here = {"npages": self.npages, "ncpus": self.ncpus, "design": design, "lockstat": self.lockstat}
        many = max(1.0, self.ncpus / OFTEN_CPUS)
        often = {name: value * many if name in PER_CPU else value for name, value in OFTEN.items()}
        for name in TIMERS:
            often[name] = max(TIMER_S_MIN, often[name] / self.machine.pace.rate)
        return Param(**often | given | here)

    def command(self, design: str) -> str:
        """Return the command line that runs one design with these options, and the tunables that it uses."""
        words = ["uvmfree", "stress", "--design", design, "--seed", self.seed, "--seconds", f"{self.seconds:g}"]
        words += ["--cpus", self.ncpus, "--npages", self.npages, "--faults", ",".join(self.faults) or "none"]
        for setting in self.settings:
            if not unused([setting.partition("=")[0]], design, self.designs):
                words += ["--set", setting]
        if self.lockstat:
            words += ["--format", "netbsd"]
        words += self.machine.words()
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
    virtual, pace = isinstance(options.machine, Virtual), options.machine.pace
    machine = options.machine.make(param, options.seed, traced=traced)
    assert machine.lockwatch is not None
    plan = Plan(param=param, seed=options.seed, seconds=options.seconds, faults=options.faults, pace=pace)
    run = Stress(plan, machine, machine.lockwatch, more)
    record = StressRun(design, options.command(design), lockstat=param.lockstat, machine=options.machine.described())
    observed: list[tuple[Observation, tuple[LockStat, ...], str]] = []

    @contextmanager
    def observe() -> Iterator[None]:
        every_s = OBSERVED_S / pace.rate if virtual else None
        with watch(run.uvm, counters, every_s) as observation:
            yield
        observed.append((observation, _locks(run.uvm), order(run) if virtual else ""))

    def look() -> bool:
        """Look up from waiting, now and then by the host's clock."""
        elapsed_s = (machine.clock_ns() - began_ns) / 1e9
        tick(run, elapsed_s)
        _measure_memory(record, elapsed_s < options.seconds / 10)
        if not record.interrupted and stop():
            record.interrupted = True
            run.stop()
        return False

    hang: list[str] = []
    with _switching_often():
        began_ns, began_s = machine.clock_ns(), time.perf_counter()
        task = machine.spawn("stress", lambda: run.run(observe))
        tick_s = _TICK_S / pace.rate
        asks = got if pace.processor_ns is not None else lambda: None
        watchdog = Watchdog(machine.clock_ns, run.progress, run.each, patience_s / pace.rate, 2 * tick_s, asks)

        def guard() -> None:
            while not task.join(tick_s):
                if (still := watchdog.still()) is not None:
                    hang.extend(_hang(still, machine))
                    return

        # The watchdog is waited for, and not the run: so a hang ends the waiting at the moment at which it is found.
        try:
            machine.wait_for([machine.spawn("watchdog", guard)], look)
        except DeadlockError as error:
            hang.append(str(error))
        now_ns, record.host_s = machine.clock_ns(), time.perf_counter() - began_s
    if hang:
        record.hung = True
        run.stop()
    gc.collect()
    _measure_memory(record, early=False)
    record.wall_s = (run.wall_ns or now_ns - began_ns) / 1e9
    record.operations = run.operations()
    record.failed = run.failed()
    record.faults = {
        fault.name: {"injected": fault.injected, "survived": fault.survived} | fault.details() for fault in run.faults
    }
    if observed:
        observation, record.locks, order_of_pages = observed[0]
        record.seen, record.samples = observation.seen, observation.samples.samples()
        # One that was broken off by the host's time is no run that anybody could have again.
        if virtual and not record.interrupted:
            record.digest = digest(run, order_of_pages)
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
    # What ends when it is told to ends as it should; in virtual time that can be waited for.
    if record.hung and not (virtual and task.join(END_S)):
        machine.abandon()
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
        machine=options.machine.facts(),
    )


def _hang(still: str, machine: WatchedMachine) -> list[str]:
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
    if early or not record.rss_kib_early:  # a short run may have no look as early as that: then its first one
        record.rss_kib_early = rss_kib


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
