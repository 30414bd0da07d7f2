"""Programs for CPUs: small operations, written by hypothesis, that run at once on real threads while others watch.

`check_programs(variant, examples)` is the whole property; `run_program(variant, program, repeats)` runs one program
over and over, which is what a failure prints. Operations, and what is true at rest, are those of tests/model;
tests/threads/observer.py watches a program.

=> A program says what each CPU does, not who comes first. So a failing one is run `AGAIN` times before it counts as
   sound, and what is reported is the shortest one that has failed, whether or not it failed the last time.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import uvmfree
from tests.kern.tasks import WAIT_S as LONG_S
from tests.kern.tasks import await_event, begin, finish
from tests.mechanism.rig import VARIANTS as RIG_VARIANTS
from tests.mechanism.rig import until
from tests.model import page_operations as page
from tests.model import system_operations as system
from tests.model.hands import Hands, Table
from tests.model.operations import Op
from tests.model.page_operations import How
from tests.model.ranged import Ranged, one_run, scattered
from tests.model.rest import check_at_rest
from tests.model.system_operations import REFUSED
from tests.threads.limits import Limits
from tests.threads.observer import Observer, PageLocksMachine, Seen, SpyMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Body, drive

WORDS = "; ".join(
    f"from tests.{name} import *"
    for name in ("model.page_operations", "model.ranged", "model.system_operations", "threads.programs")
)
"""What a failing program is printed in."""
AGAIN = 20
"""Runs of a program before it counts as sound, once any program has failed."""
SHRINK_S = 12.0
"""How long to look for a shorter program."""
SWITCH_S = 1e-5
"""How often threads take turns where they share a GIL: often enough to part a list from its counter."""

VARIANTS: dict[str, dict[str, Any]] = {
    **RIG_VARIANTS,
    "fpageqlock, idle": {"design": "fpageqlock", "idlezero": True},
    "percpu, idle": {"design": "percpu", "idlezero": True},
    "percpu, all": {
        "design": "percpu", "idlezero": True, "hoard_max": 16, "refill": 8, "search": "colour", "drain_retry": True,
        "remote_drain": True,
    },
}  # fmt: skip
"""Every design as it is, and the proposal with its options."""

SIZES: dict[str, Any] = {"ncolors": 4, "nfreelists": 2, "pagesize": 1 << 14}
"""Pages of 16 KiB make the watermarks of a small system small (R24), so that memory is short now and then."""
PAGES_PER_CPU = (16, 24, 48)
"""Of 16 pages five are reserved, and eight more are what the daemon keeps free."""
OFTEN = {"redistribute_interval_s": 0.002, "redistribute_min_gap_s": 0.001, "idle_interval_s": 0.001}
ANONS = 64
"""Pages of the anon map, if a program has one."""

HOWS = (
    How(), How(zero=True), How(use_reserve=True), How(color=3), How(strat="only", free_list=1),
    How(zero=True, strat="fallback", free_list=1),
)  # fmt: skip
"""The options of an allocation."""

RUN_S = WAIT_S = 0.001
"""How long a run, and a waiter, wait for pages."""


@dataclass(frozen=True)
class Program:
    """What each CPU does, and how it is watched; `repr` is what a failure prints.

    => `cpus[i]`: the operations of CPU i.
    => `conductor`: what is done to the system as a whole, by one who plays no CPU. The last CPU is played by nobody,
       so that he may take it out.
    => `spied`: the locks of the CPUs tell the observer who holds them; else it tries to take them.
    => `stuck`: no write to swap ends before all operations have, so that pages are being paged out at rest.
    """

    cpus: tuple[tuple[Op, ...], ...]
    conductor: tuple[Op, ...] = ()
    pages_per_cpu: int = PAGES_PER_CPU[-1]
    spied: bool = False
    stuck: bool = False

    @property
    def length(self) -> int:
        return sum(map(len, (*self.cpus, self.conductor)))

    @property
    def ops(self) -> tuple[Op, ...]:
        return sum(self.cpus, ())


def operations(ncpus: int) -> st.SearchStrategy[tuple[Op, ...]]:
    """Write an operation, or two that belong together; those that move pages between lists come most often."""
    few, many, cpu = st.integers(1, 6), st.integers(1, 16), st.integers(0, ncpus - 1)
    alloc: st.SearchStrategy[Op] = st.builds(page.Alloc, many, st.sampled_from(HOWS))
    free: st.SearchStrategy[Op] = st.builds(page.Free, many)
    size = st.integers(1, 8)
    ranged: st.SearchStrategy[Ranged] = st.builds(scattered, size) | st.builds(one_run, size)
    anon = st.integers(0, ANONS - 1)
    kinds: list[st.SearchStrategy[Op]] = [
        alloc,
        alloc,
        free,
        free,
        st.builds(system.Churn, many, few),
        st.builds(page.Hand, few, cpu),
        st.just(system.Ask("take")),
        st.builds(system.Redistribute, st.none() | cpu),
        st.builds(page.Run, ranged, st.booleans(), st.just(RUN_S)),
        st.builds(page.Free, st.integers(1, 8), by=st.just("list")),
        st.builds(page.Touch, anon, st.integers(1, ANONS), st.booleans()),
        st.builds(page.Discard, anon),
        st.just(system.Ask("call")),
        st.sampled_from([system.Ask("kick"), system.Wait(WAIT_S)]),
    ]
    zero = st.tuples(st.builds(page.Cycle, many), st.builds(page.IdleZero, st.integers(0, 100)))
    return st.one_of([st.tuples(kind) for kind in kinds] + [zero])


def conducting(last: int) -> st.SearchStrategy[Op]:
    """Write an operation of a conductor."""
    return st.sampled_from(
        [
            system.Detach(last),
            system.Attach(last),
            system.Bind(last),
            system.Ask("audit"),
            system.Recolor(1),
            system.Recolor(2),
            system.Recolor(8),
        ],
    )


def _programs(ncpus: int) -> st.SearchStrategy[Program]:
    """Write programs for so many CPUs."""
    # Several short lists, because hypothesis seldom writes a long one.
    part = st.lists(operations(ncpus), max_size=8).map(lambda ops: sum(ops, ()))
    one_cpu = st.tuples(part, part, part).map(lambda parts: sum(parts, ()))
    return st.builds(
        Program,
        cpus=st.tuples(*[one_cpu] * ncpus),
        conductor=st.just(()) | st.lists(conducting(ncpus), max_size=10).map(tuple),
        pages_per_cpu=st.sampled_from(PAGES_PER_CPU),
        spied=st.booleans(),
        stuck=st.booleans(),
    )


PROGRAMS: st.SearchStrategy[Program] = _programs(2) | _programs(3)
"""Programs for two or three CPUs; with a conductor there is one CPU more."""


@dataclass
class Report:
    """What the observers of many programs saw."""

    programs: int = 0
    looks: int = 0
    reads: int = 0
    widest: dict[str, Seen] = field(default_factory=dict)

    def add(self, variant: str, seen: Seen) -> None:
        self.programs += 1
        self.looks += seen.looks
        self.reads += seen.reads
        self.widest[variant] = seen if variant not in self.widest else self.widest[variant].wider(seen)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, to be sent to another process."""
        return asdict(self)


class ProgramFailed(AssertionError):
    """A program failed; the message has the program and the line that runs it again."""


class _EnoughError(BaseException):
    """Ends the search for a shorter program: hypothesis lets pass what is no Exception."""


def run_program(variant: str, program: Program, repeats: int = 1, report: Report | None = None) -> None:
    """Run a program so many times, watched, and check it each time when all is at rest."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        for _ in range(repeats):
            seen = _run_once(variant, program)
            if report is not None:
                report.add(variant, seen)
    finally:
        sys.setswitchinterval(interval_s)


def check_programs(
    variant: str, examples: int, *, report: Report | None = None, clock_s: Callable[[], float] = monotonic
) -> Report:
    """Have hypothesis write so many programs, and run each; ProgramFailed for the shortest that has failed."""
    report = report if report is not None else Report()
    failed: list[tuple[Program, BaseException]] = []
    give_up_s = 0.0

    @settings(
        max_examples=examples, database=None, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
        deadline=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(PROGRAMS)
    def check(program: Program) -> None:
        nonlocal give_up_s
        if failed and clock_s() > give_up_s:
            raise _EnoughError
        try:
            run_program(variant, program, AGAIN if failed else 1, report)
        except BaseException as error:
            if not failed:
                give_up_s = clock_s() + SHRINK_S
            failed.append((program, error))
            raise

    try:
        check()
    except (_EnoughError, Exception):  # of the program, or Flaky, because it did not fail again
        if not failed:
            raise
    if failed:
        program, error = min(failed, key=lambda each: each[0].length)
        raise ProgramFailed(_message(variant, program, error, len(failed))) from error
    return report


def _message(variant: str, program: Program, error: BaseException, times: int) -> str:
    cause = error.__cause__ if error.__cause__ is not None else error
    lines = [
        f"{type(cause).__name__}: {cause}",
        f"variant {variant!r}, {program.length} operations; {times} runs of this program and of longer ones failed",
        *(f"  CPU {index}: {list(ops)}" for index, ops in enumerate(program.cpus)),
        f"  conductor: {list(program.conductor)}",
        "again, until it fails:",
        f'  python -c "{WORDS}; run_program({variant!r}, {program!r}, repeats=500)"',
    ]
    return "\n".join(lines)


def tunables(variant: str, ncpus: int, pages_per_cpu: int) -> dict[str, Any]:
    """Return what a system of a variant is booted with."""
    return SIZES | OFTEN | {"ncpus": ncpus, "npages": pages_per_cpu * ncpus} | VARIANTS[variant]


class _Gate:
    """Writes to swap wait here; none fails."""

    def __init__(self, *, shut: bool) -> None:
        self._open = threading.Event()
        if not shut:
            self._open.set()

    def fail(self, slot: int) -> OSError | None:
        await_event(self._open)
        return None

    def go_on(self) -> None:
        self._open.set()


def play(ops: tuple[Op, ...], hands: Hands) -> None:
    """Be one thread of a program."""
    for each in ops:
        if each.ready(hands):
            for out in each.system(hands):
                assert out not in REFUSED, f"{each} was refused"


def play_cpu(ops: tuple[Op, ...], hands: Hands, cpu: Cpu) -> None:
    """Be the thread that plays a CPU."""
    with hands.playing(cpu):
        play(ops, hands)


def quiet(uvm: uvmfree.Uvm, *, stuck: bool = False) -> None:
    """Wait until the daemon sleeps and nothing is being written to swap, or with `stuck` nothing goes on there."""
    handle = uvm.pageout.mutex.handle("observer")

    def rests() -> bool:
        with handle:
            return uvm.pageout.daemon_rests and (stuck or uvm.pageout.paging == 0)

    until(rests)


def _run_once(variant: str, program: Program) -> Seen:
    ncpus = len(program.cpus) + bool(program.conductor)
    machine = SpyMachine() if program.spied else PageLocksMachine()
    uvm = uvmfree.boot(machine, **tunables(variant, ncpus, program.pages_per_cpu))
    table, gate = Table(uvm, len(program.cpus) + 1), _Gate(shut=program.stuck)
    try:
        if any(isinstance(each, page.Touch | page.Discard) for each in program.ops):
            table.anons = uvm.anon_memory(ANONS, ANONS, fail=gate.fail, patience_s=0.02)
            # No page came free, or a write to swap did not end, in the time that the map has: close() says if a
            # thread hung or died.
            table.impatient = (uvmfree.OutOfPages, uvmfree.HangError)
        limits = Limits.of(uvm.param, program.cpus, conducted=len(program.conductor), anon=table.anons is not None)
        with uvm:
            try:
                observer = Observer(uvm, machine, limits)
                watching = begin(observer.run, "observer")
                observer.await_first()
                bodies: list[Body] = [
                    lambda cpu, lane, ops=ops: play_cpu(ops, table.hands[cpu.index], cpu)  # type: ignore[misc]
                    for ops in program.cpus
                ]
                conducting = begin(lambda: play(program.conductor, table.hands[-1]), "conductor")
                try:
                    drive(uvm, bodies)
                finally:
                    observer.stop()
                    finish(conducting, watching)
                for ticket in table.tickets:
                    uvm.xcall.wait(ticket, LONG_S)
                quiet(uvm, stuck=program.stuck)
                check_at_rest(uvm, table.books(), machine.stopped())
                gate.go_on()
                quiet(uvm)
                check_at_rest(uvm, table.books(), machine.stopped())
                table.give_all_back()
                uvm.redistribute()
                check_at_rest(uvm, table.books(), machine.stopped())
                assert uvm.param.idlezero or uvm.uvmexp.free == uvm.param.npages
            finally:
                gate.go_on()
    finally:
        uvm.close()
    return observer.seen
