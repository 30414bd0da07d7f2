"""A stress run: all that can be done to a system, at random, on all CPUs at once, with faults; and the end of it.

=> The run has a thread of its own (`run()`), beside one for each CPU and one for each fault: whoever supervises it
   takes none of the system's locks, and so can tell when it hangs.
=> It ends with everything given back: every page is free and in one place, every counter true, every swap slot free,
   every cross-call done. Audits on the way find what is wrong nearer to its cause.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from uvmfree.errors import HangError
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.machine.face import Machine, Task
from uvmfree.param import Param
from uvmfree.stress.fault import Fault
from uvmfree.stress.faults import FAULTS, SwapwriteFault
from uvmfree.stress.player import Player
from uvmfree.stress.preempt import preempt
from uvmfree.stress.program import KINDS
from uvmfree.stress.shared import AS_THREADS, NAP_S, Pace, Shared, StressError
from uvmfree.stress.stamps import TRAY, Held, Stamper
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import AnonStats
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import design_for
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import UvmExpSnapshot

MAP_OF_RAM: Final = 1.25
"""The anon map's size, in RAM sizes: with what the CPUs hold, a third more than there is."""

SMALL_MAP: Final = 8
SMALL_SWAP: Final = 4
"""The map whose swap is full: an eighth of RAM, with swap for a quarter of it. What it pins in RAM, three 32nds,
leaves enough for the rest."""

PATIENCE_S: Final = 3.0
"""How long an access waits for a page: longer than memory is ever exhausted, less than a hang takes to be one."""

AUDIT_S: Final = 0.25
AUDIT_SHARE: Final = 10
"""Time between two audits under way, which stop everything; and at least so many times what the last one took."""

JOIN_S: Final = 15.0
"""How long a thread may take to see that the run is over: an access in vain, and as much again for a busy host."""

RUNNING: Final = "running"
"""The phase in which CPUs and faults are at work."""

SETTLE_S: Final = 4.0
"""How long pages may be on their way when all threads have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: the same plan makes the same programs.

    => `faults`: names of FAULTS. `seconds`: how long; the run ends earlier when every CPU has done `steps`.
    => `pace`: how dense it is, on a machine whose time is not the host's.
    """

    param: Param
    seed: int
    seconds: float
    faults: tuple[str, ...] = ()
    steps: int | None = None
    pace: Pace = AS_THREADS


class Stress:
    """One run on one system.

    => `faults`: those of the plan, and others that the caller brings. `players`: by CPU.
    => `uvmexp`, `anons`: the counters when the CPUs had stopped and still held their pages; None before.
    => `wall_ns`: from the first step to the last.
    """

    def __init__(self, plan: Plan, machine: Machine, watch: LockWatch, more: Sequence[Fault] = ()) -> None:
        """Boot the system; `watch` knows the machine's locks."""
        self.plan = plan
        self.faults: tuple[Fault, ...] = (*(FAULTS[name]() for name in plan.faults), *more)
        param = plan.param
        own = param.own_of(design_for(param).name)
        self.uvm = boot(machine, **asdict(param) | {"own": own})
        how: dict[str, Any] = {}
        for fault in self.faults:
            how |= fault.anon_memory()
        virtual = max(2, int(param.npages * MAP_OF_RAM))
        patience_s = PATIENCE_S / plan.pace.rate * plan.pace.busy
        how |= {"pwrite": machine.disk(how.get("pwrite", os.pwrite)), "pread": machine.disk(os.pread)}
        anons = [self.uvm.anon_memory(virtual, virtual, patience_s=patience_s, **how)]
        if any(isinstance(fault, SwapwriteFault) for fault in self.faults):
            small = max(2, param.npages // SMALL_MAP)
            anons.append(self.uvm.anon_memory(small, small // SMALL_SWAP, patience_s=patience_s))
        self.shared = Shared(self.uvm, watch, plan.seed, anons, plan.pace)
        self.players = [Player(self.shared, index) for index in range(param.ncpus)]
        self.shared.players += self.players
        if plan.pace.preempts:
            preempt(machine, watch, plan.seed)
        self.uvmexp: UvmExpSnapshot | None = None
        self.anons: tuple[AnonStats, ...] = ()
        self.wall_ns = 0
        self.phase = "starting"
        self._ticks = 0  # written by the run's thread
        self._thread: int | None = None  # the run's, as the machine names it

    def stop(self) -> None:
        """End the run early."""
        self.shared.stopped = True

    def progress(self) -> int:
        """Return a number that changes as long as anything gets on: an audit does with each lock that it takes."""
        taken = 0 if self._thread is None else len(self.shared.watch.held_by(self._thread))
        return self._ticks + sum(player.done for player in self.players) + taken

    def each(self) -> tuple[int, ...]:
        """Return the steps of every CPU, while all of them should get on: all have begun."""
        if self.phase != RUNNING or any(player.thread is None for player in self.players):
            return ()
        return tuple(player.done for player in self.players)

    def steps(self) -> int:
        """Operations that all CPUs have done."""
        return sum(player.done for player in self.players)

    def failed(self) -> dict[str, int]:
        """Return what the CPUs could not have, and how often one was detached under its thread."""
        return {
            "allocations": sum(player.hands.refused for player in self.players),
            "accesses and runs": sum(player.hands.out_of_pages for player in self.players),
            "detached": sum(player.away for player in self.players),
        }

    def operations(self) -> dict[str, int]:
        """Return how many operations were done, by kind."""
        return {kind: sum(player.counts[at] for player in self.players) for at, kind in enumerate(KINDS)}

    def run(self, observe: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """Be the run, on a thread that plays no CPU; what goes wrong is in `shared.failures()`.

        => `observe()` is entered when the system's threads run, and left when the CPUs have stopped.
        """
        self._thread = self.uvm.machine.me()
        try:
            with self.uvm:
                self._run(observe)
                self._tick("closing")
        except BaseException as error:  # noqa: BLE001 - kept for whoever supervises the run
            self.shared.fail(self.phase, error)
        self._tick("over")

    def _run(self, observe: Callable[[], AbstractContextManager[object]]) -> None:
        """Play, and audit; what is found is kept at once, whatever closing may come to."""
        try:
            with observe():
                self._play()
            self.uvmexp = self.uvm.uvmexp.snapshot()
            self.anons = tuple(anons.stats() for anons in self.shared.anons)
            if self.shared.failures():
                self._tick("the audit after a failure")
                self.uvm.audit()
            else:
                self._let_go()
        except BaseException as error:  # noqa: BLE001 - kept for whoever supervises the run
            self.shared.fail(self.phase, error)

    def _play(self) -> None:
        """Start the threads, wait until the run is over, join them."""
        machine, shared = self.uvm.machine, self.shared
        self._tick(RUNNING)
        began_ns = shared.began_ns = machine.clock_ns()
        players = [
            machine.spawn(
                f"cpu/{player.index}",
                self._guarded(f"CPU {player.index}", partial(player.play, self.plan.steps)),
                player.index,
            )
            for player in self.players
        ]
        faults = [
            machine.spawn(f"fault/{fault.name}", self._guarded(f"fault {fault.name}", partial(fault.run, shared)))
            for fault in self.faults
        ]
        try:
            self._conduct(players, began_ns + round(self.plan.seconds * 1e9))
        except BaseException as error:  # noqa: BLE001 - the threads have to be joined first
            shared.fail("an audit under way", error)
        shared.stopped = True
        self._tick("joining the threads")
        # The faults first: they give back what the CPUs may be waiting for.
        self._join(faults)
        for fault in self.faults:
            fault.heal()
        self._join(players)
        self.wall_ns = machine.clock_ns() - began_ns

    def _conduct(self, players: Sequence[Task], until_ns: int) -> None:
        """Wait until the run is over; audit under way."""
        machine, shared = self.uvm.machine, self.shared
        between_ns = shared.ns(AUDIT_S)
        next_ns = machine.clock_ns() + between_ns
        while not shared.nap(min(NAP_S, max(0.0, (until_ns - machine.clock_ns()) / shared.ns(1)))):
            now_ns = machine.clock_ns()
            if now_ns >= until_ns or all(task.join(0.0) for task in players):
                return
            if now_ns >= next_ns:
                self.uvm.audit()
                for anons in shared.anons:
                    anons.audit()
                took_ns = machine.clock_ns() - now_ns
                next_ns = now_ns + max(between_ns, AUDIT_SHARE * took_ns)

    def _guarded(self, who: str, body: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - ends the run, and is reported
                self.shared.fail(who, error)

        return guarded

    def _join(self, tasks: Sequence[Task]) -> None:
        """Wait for threads that have been told; HangError if they do not come."""
        nap_ns = self.shared.ns(NAP_S)
        # As in stress/watchdog.py: a turn that comes late counts for no more than it was to take.
        time = self.shared.time_that_counts(turn_ns=2 * nap_ns)
        while late := [task for task in tasks if not task.join(0.0)]:
            if time.ns() > self.shared.ns(JOIN_S):
                names = ", ".join(task.name for task in late)
                raise HangError(f"{names} did not end within {self.shared.ns(JOIN_S) / 1e9:g} s of being stopped")
            late[0].join(nap_ns / 1e9)

    def _let_go(self) -> None:
        """Give everything back, and check that everything is there."""
        shared, uvm = self.shared, self.uvm
        stamper = Stamper(uvm)
        self._tick("waiting for cross-calls")
        for player in self.players:
            while player.hands.tickets:
                shared.xc_wait(player.hands.tickets.popleft())
        self._tick("freeing the CPUs' pages")
        for player in self.players:
            for held in (player.hands.mine, *player.hands.runs):
                self._free(stamper, held, player.hands.owner)
        for tray in shared.trays:
            self._free(stamper, tray, TRAY)
        while shared.reclaim_one():
            self._ticks += 1
        for anons in shared.anons:
            self._empty(anons)
        self._tick("waiting for pages on their way")
        time = shared.time_that_counts()
        while (missing := missing_of(uvm)) or uvm.uvmexp.paging:
            if time.ns() > shared.ns(SETTLE_S):
                raise StressError(
                    f"{missing} pages are missing, {uvm.uvmexp.paging} on their way to swap, at the end"
                )
            shared.look()
        for fault in self.faults:
            fault.finish(shared)
        self._tick("the last audit")
        uvm.audit()

    def _free(self, stamper: Stamper, held: Sequence[Held], owner: int) -> None:
        """Check and free pages that nobody else has any more."""
        for pg, version in held:
            stamper.check(pg, owner, version)
            self.uvm.pagefree(pg)

    def _empty(self, anons: AnonMemory) -> None:
        """Let go of all pages of a map."""
        self._tick(f"emptying map {anons.owner}")
        anons.audit()
        cpu = self.uvm.cpus[0]
        for index in range(anons.npages):
            anons.discard(cpu, index)
            self._ticks += 1
        anons.audit()
        now = anons.stats()
        if now.swpginuse or now.resident:
            raise StressError(f"map {anons.owner} is empty, and has {now.resident} pages, {now.swpginuse} swap slots")

    def _tick(self, phase: str) -> None:
        self.phase = phase
        self._ticks += 1


def missing_of(uvm: Uvm) -> int:
    """Count the pages that are neither free nor in a cache, of one CPU or of all."""
    beside = sum(uvm.cached_pages()) + uvm.design.parked() if uvm.traits.free == "store" else 0
    return int(uvm.param.npages - uvm.uvmexp.free - beside)
