"""Programs for CPUs: small operations, written by hypothesis, that run at once on real threads while others watch.

`check_programs(variant, examples)` is the whole property; `run_program(variant, program, repeats)` runs one program
over and over, which is what a failure prints. tests/threads/players.py carries a program out,
tests/threads/observer.py watches it, tests/threads/truth.py walks the lists when all is at rest.

=> A program says what each CPU does, not who comes first. So a failing one is run `AGAIN` times before it counts as
   sound, and what is reported is the shortest one that has failed, whether or not it failed the last time.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import uvmfree
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import VARIANTS as RIG_VARIANTS
from tests.threads.limits import Limits
from tests.threads.observer import Observer, Seen, SpyMachine
from tests.threads.players import Desk, Player
from tests.threads.truth import check_at_rest, quiet
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.workload.driver import Body, drive

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

HOW: dict[str, dict[str, Any]] = {
    "": {},
    "zero": {"zero": True},
    "reserve": {"use_reserve": True},
    "color": {"color": 3},
    "only": {"strat": "only", "free_list": 1},
    "fallback": {"strat": "fallback", "free_list": 1, "zero": True},
}
"""The options of an allocation."""

Op = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """What each CPU does, and how it is watched; `repr` is what a failure prints.

    => `cpus[i]`: the operations of CPU i; tests/threads/players.py says what each is.
    => `conductor`: what is done to the system as a whole, by one who plays no CPU.
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


def operations(ncpus: int) -> st.SearchStrategy[Op]:
    """Write one operation; those that move pages between lists come most often."""
    few, many, cpu = st.integers(1, 6), st.integers(1, 16), st.integers(0, ncpus - 1)
    alloc: st.SearchStrategy[Op] = st.tuples(st.just("alloc"), many, st.sampled_from(sorted(HOW)))
    free: st.SearchStrategy[Op] = st.tuples(st.just("free"), many)
    kinds: list[st.SearchStrategy[Op]] = [
        alloc,
        alloc,
        free,
        free,
        st.tuples(st.just("churn"), many, few),
        st.tuples(st.just("hand"), few, cpu),
        st.tuples(st.just("take")),
        st.tuples(st.just("redistribute"), st.none() | cpu),
        st.tuples(st.just("run"), st.integers(1, 8), st.booleans(), st.booleans()),
        st.tuples(st.just("runfree")),
        st.tuples(st.just("zero"), many, st.integers(0, 100)),
        st.tuples(st.just("touch"), st.integers(0, ANONS - 1), st.integers(1, ANONS), st.booleans()),
        st.tuples(st.just("discard"), st.integers(0, ANONS - 1)),
        st.tuples(st.just("call")),
        st.tuples(st.sampled_from(["kick", "wait"])),
    ]
    return st.one_of(kinds)


CONDUCTING: tuple[Op, ...] = (
    ("detach",), ("attach",), ("bind",), ("audit",), ("recolor", 1), ("recolor", 2), ("recolor", 8),
)  # fmt: skip
"""The operations of a conductor."""


def _programs(ncpus: int) -> st.SearchStrategy[Program]:
    """Write programs for so many CPUs."""
    # Several short lists, because hypothesis seldom writes a long one.
    part = st.lists(operations(ncpus), max_size=8).map(tuple)
    one_cpu = st.tuples(part, part, part).map(lambda parts: sum(parts, ()))
    return st.builds(
        Program,
        cpus=st.tuples(*[one_cpu] * ncpus),
        conductor=st.just(()) | st.lists(st.sampled_from(CONDUCTING), max_size=10).map(tuple),
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
        f'  python -c "from tests.threads.programs import *; run_program({variant!r}, {program!r}, repeats=500)"',
    ]
    return "\n".join(lines)


def tunables(variant: str, ncpus: int, pages_per_cpu: int) -> dict[str, Any]:
    """Return what a system of a variant is booted with."""
    return SIZES | OFTEN | {"ncpus": ncpus, "npages": pages_per_cpu * ncpus} | VARIANTS[variant]


def _run_once(variant: str, program: Program) -> Seen:
    ncpus = len(program.cpus) + bool(program.conductor)
    machine = SpyMachine() if program.spied else ThreadsMachine()
    uvm = uvmfree.boot(machine, **tunables(variant, ncpus, program.pages_per_cpu))
    desk = Desk(uvm, stuck=program.stuck)
    try:
        if any(op[0] in ("touch", "discard") for op in program.ops):
            desk.anons = uvm.anon_memory(ANONS, ANONS, fail=desk.fail, patience_s=0.02)
        limits = Limits.of(uvm.param, program.cpus, conducted=len(program.conductor), anon=desk.anons is not None)
        with uvm:
            try:
                observer = Observer(uvm, machine, limits)
                watching = begin(observer.run, "observer")
                observer.await_first()
                bodies: list[Body] = [
                    lambda cpu, lane, ops=ops: Player(desk, cpu).play(ops, HOW)  # type: ignore[misc]
                    for ops in program.cpus
                ]
                conducting = begin(lambda: desk.conduct(program.conductor), "conductor")
                try:
                    drive(uvm, bodies)
                finally:
                    observer.stop()
                    finish(conducting, watching)
                for ticket in desk.tickets:
                    uvm.xcall.wait(ticket, WAIT_S)
                quiet(uvm, stuck=program.stuck)
                check_at_rest(uvm, desk.books())
                desk.go_on()
                quiet(uvm)
                check_at_rest(uvm, desk.books())
                desk.give_all_back()
                uvm.redistribute()
                check_at_rest(uvm, desk.books())
                assert uvm.param.idlezero or uvm.uvmexp.free == uvm.param.npages
                uvm.audit()
            finally:
                desk.go_on()
    finally:
        uvm.close()
    return observer.seen
