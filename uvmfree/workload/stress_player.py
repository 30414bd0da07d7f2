"""One CPU of a stress run: does the steps of its program, stamps what it holds, remembers what it did last.

=> Everything here belongs to the thread that plays the CPU; others read `done`, `thread` and, when the run is over or
   hangs, the ring of the last operations.
=> A CPU that is detached under it leaves, keeps its pages, and comes back when the CPU does (Q13).
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from uvmfree.errors import ArgumentError, BindError, ForeignPage, HangError, OutOfPages
from uvmfree.kern.xcall import Ticket
from uvmfree.uvm.cpu import Cpu, Lwp, Strat
from uvmfree.uvm.page import VmPage
from uvmfree.workload.stress_pages import CPU0, LOOSE, TRAY, Held, Stamper
from uvmfree.workload.stress_program import KIND_BITS, KINDS, MASK, TABLE, draw
from uvmfree.workload.stress_shared import Shared, StressError

LAST: Final = 256
"""Operations of a CPU that are remembered: about a millisecond, which is what a page's last owners did. A power of
two, so that the place in the ring is a mask."""

BATCH: Final = 32
LOOK_S: Final = 0.01
"""Steps, and time, between two looks at whether the run is over: on a free-threaded interpreter a look at what all
threads share is dear, and a step that waits for pages may take seconds."""

IN_HAND_MAX: Final = 256
"""Pages that a CPU holds at most."""

RUNS_MAX: Final = 3
TRAY_MAX: Final = 64
TICKETS_MAX: Final = 4
"""Runs of pages, pages waiting to be taken over, cross-calls under way: at most so many for a CPU."""

COLORS_LOG2: Final = 5
"""Colours are from 1 to 16."""

WAIT_S: Final = 0.002
"""How long a step waits for pages: it is there to be counted among the waiters, not to be served."""

DISCARDED: Final = 8
"""Pages of a map that are given up when it cannot have one: as a process that is killed gives its memory back."""

UNDER_WAY: Final = "under way"

Operation = list[Any]
"""What a CPU did: number of the step, when in ns, the step, and its outcome: a page or index, or words."""


class Player:
    """The thread of one CPU.

    => `done`: steps. `counts`: by kind of operation. `refused`: allocations that returned None.
       `out_of_pages`: accesses and runs that raised OutOfPages. `away`: times that the CPU was detached.
    => `mine`, `runs`, `tickets`: what it holds; whoever ends the run lets go of it when the thread has ended.
    """

    def __init__(self, shared: Shared, index: int) -> None:
        self.shared, self.uvm, self.index = shared, shared.uvm, index
        self.done = self.refused = self.out_of_pages = self.away = 0
        self.thread: int | None = None
        self.counts = [0] * len(KINDS)
        self.ring: list[Operation | None] = [None] * LAST
        self.mine: list[Held] = []
        self.runs: list[list[Held]] = []
        self.tickets: deque[Ticket] = deque()
        param = shared.uvm.param
        self._ncpus, self._nfreelists = param.ncpus, param.nfreelists
        self._in_hand = max(4, min(IN_HAND_MAX, param.npages // (4 * param.ncpus)))
        self.owner, self._version = CPU0 + index, 0
        # One CPU in four is a kernel thread's, which may use the kernel reserve (R5).
        self._lwp: Lwp = "kernel" if index % 4 == 1 else "user"
        self._tray, self._wait_s = shared.trays[index], shared.brief_ns(WAIT_S) / 1e9
        self._cpu: Cpu
        self._stamper: Stamper
        self._ops: tuple[Callable[[int], object], ...] = (
            self._alloc,
            self._free,
            self._write,
            self._hand_over,
            self._take_over,
            self._let_go,
            lambda how: self._patient(lambda: self._touch(how, write=False)),
            lambda how: self._patient(lambda: self._touch(how, write=True)),
            lambda how: self._patient(lambda: self._discard(how)),
            self._pglistalloc,
            self._pglistfree,
            self._idle_zero,
            self._redistribute,
            lambda how: self.uvm.wait(self._wait_s),
            lambda how: self.uvm.kick_pdaemon(),
            self._xcall,
            self._xc_wait,
            self._free_nonsense,
            self._look,
            self._recolour,
        )
        assert len(self._ops) == len(KINDS)

    def play(self, steps: int | None) -> None:
        """Do the steps of the program until the run is over, or so many are done."""
        self.thread = self.shared.machine.me()
        self._stamper = Stamper(self.uvm)
        bits = draw(self.shared.seed, self.index)
        while not self.shared.stopped and self.done != steps:
            if rest_s := self.shared.rest_s():
                self.shared.machine.sleep(rest_s)
                continue
            try:
                with self.uvm.run_on(self.index, self._lwp) as cpu:
                    self._cpu = cpu
                    self._work(bits, steps)
            except BindError:
                # Detached: by the step under way, which is counted, or still.
                operation = self.ring[self.done % LAST]
                if operation is not None and operation[0] == self.done:
                    operation[3] = "the CPU was detached"
                    self.done += 1
                    self.away += 1
                self.shared.nap(0.001)

    def last(self) -> list[Operation]:
        """Return the last operations, oldest first, when the thread has ended or hangs."""
        return sorted((operation for operation in self.ring if operation is not None), key=lambda one: int(one[0]))

    def _work(self, bits: Callable[[int], int], steps: int | None) -> None:
        shared, ops, ring, counts = self.shared, self._ops, self.ring, self.counts
        clock_ns, charge, step_ns = shared.machine.clock_ns, shared.machine.charge, shared.pace.step_ns
        done, often_ns = self.done, shared.ns(LOOK_S)
        while not shared.stopped and done != steps and not shared.rest_s():
            look_ns = clock_ns() + often_ns
            for _ in range(BATCH if steps is None else min(BATCH, steps - done)):
                step, now_ns = bits(64), clock_ns()
                kind = TABLE[step & MASK]
                operation: Operation = [done, now_ns, step, UNDER_WAY]
                ring[done % LAST] = operation
                charge(step_ns)
                operation[3] = ops[kind](step >> KIND_BITS)
                counts[kind] += 1
                done += 1
                self.done = done
                if now_ns > look_ns:
                    break

    def _alloc(self, how: int) -> object:
        """Allocate a page: plainly, zeroed, from the reserve, of a colour, of a freelist."""
        if len(self.mine) >= self._in_hand:
            return self._free(how)
        variant, zero, use_reserve, which = how & 7, how >> 3 & 3 == 0, how >> 5 & 15 == 0, how >> 9
        if variant < 5:
            pg = self._cpu.pagealloc(zero, use_reserve)
        elif variant == 5:
            pg = self._cpu.pagealloc(zero, use_reserve, color=which & 31)
        else:
            strat: Strat = "only" if variant == 6 else "fallback"
            pg = self._cpu.pagealloc(zero, use_reserve, strat, which % self._nfreelists)
        if pg is None:
            self.refused += 1
            return "no page"
        if zero:
            self._stamper.check_zero(pg)
        self._keep(pg)
        return pg.pfn

    def _free(self, how: int) -> object:
        if not self.mine:
            return "none to free"
        pg, version = self._pick(how)
        self._stamper.check(pg, self.owner, version)
        self._cpu.pagefree(pg)
        self.mine.pop()
        return pg.pfn

    def _write(self, how: int) -> object:
        if not self.mine:
            return "none to write to"
        pg, version = self._pick(how)
        self._stamper.check(pg, self.owner, version)
        self.mine.pop()
        self._keep(pg)
        return pg.pfn

    def _hand_over(self, how: int) -> object:
        """Put a page where another CPU finds it, which will free it there (Q1)."""
        tray = self.shared.trays[how % self._ncpus]
        if not self.mine or len(tray) >= TRAY_MAX:
            return "none to hand over, or a full tray"
        pg, version = self._pick(how >> 8)
        self._stamper.check(pg, self.owner, version)
        self._stamper.stamp(pg, TRAY, version)
        tray.append(self.mine.pop())
        return pg.pfn

    def _take_over(self, how: int) -> object:
        taken = 0
        for _ in range(1 + (how & 7)):
            if not self._tray:
                break
            pg, version = self._tray.popleft()
            self._stamper.check(pg, TRAY, version)
            self._keep(pg)
            taken += 1
        return f"{taken} pages"

    def _let_go(self, how: int) -> object:
        """Leave a page to the pagedaemon, or free one that somebody left and the daemon does not come for."""
        if len(self.shared.loose) > self._in_hand:
            return self.shared.reclaim_one()
        if not self.mine:
            return "none to let go of"
        pg, version = self._pick(how)
        self._stamper.check(pg, self.owner, version)
        self._stamper.stamp(pg, LOOSE, version)
        self.shared.loose.append(self.mine.pop())
        return pg.pfn

    def _touch(self, how: int, *, write: bool) -> object:
        """Access a page of an anon map, low ones more often: fault it in, from swap if it is there."""
        anons = self.shared.anons[how % len(self.shared.anons)]
        index = ((how >> 4 & 0xFFFF) * (how >> 20 & 0xFFFF) * anons.npages) >> 32
        try:
            anons.touch(self._cpu, index, write=write)
        except OutOfPages:
            self.out_of_pages += 1
            for at in range(index, index + DISCARDED):
                anons.discard(self._cpu, at % anons.npages)
            return f"no page for {index}; it and the next are discarded"
        return index

    def _patient(self, access: Callable[[], object]) -> object:
        """Do an access; one that waits in vain for others to be done with a page is a hang, unless all are late."""
        try:
            return access()
        except HangError as error:
            if not self.shared.starved():
                raise
            self.out_of_pages += 1
            return f"late: {error}"

    def _discard(self, how: int) -> object:
        anons = self.shared.anons[how % len(self.shared.anons)]
        index = (how >> 4) % anons.npages
        anons.discard(self._cpu, index)
        return index

    def _pglistalloc(self, how: int) -> object:
        if len(self.runs) >= RUNS_MAX:
            return self._pglistfree(how)
        size = 1 << (how & 3)
        try:
            run = self.uvm.pglistalloc(
                size,
                nsegs=size if how >> 2 & 1 else 1,
                alignment=1 << (how >> 3 & 1),
                boundary=16 if how >> 4 & 3 == 0 else 0,
                waitok=how >> 6 & 3 == 0,
                timeout_s=self._wait_s,
            )
        except OutOfPages:
            self.out_of_pages += 1
            return "no run"
        self._version += 1
        for pg in run:
            self._stamper.stamp(pg, self.owner, self._version)
        self.runs.append([(pg, self._version) for pg in run])
        return f"{size} pages from {run[0].pfn:#x}"

    def _pglistfree(self, how: int) -> object:
        if not self.runs:
            return "none to free"
        run = self.runs[0]
        while run:
            pg, version = run[-1]
            self._stamper.check(pg, self.owner, version)
            self.uvm.pglistfree([pg])
            run.pop()
        self.runs.pop(0)
        return "freed"

    def _idle_zero(self, how: int) -> object:
        left = how & 255

        def runnable() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        return f"{self._cpu.pageidlezero(runnable)} pages"

    def _redistribute(self, how: int) -> object:
        which = how % (self._ncpus + 1)
        return f"{self.uvm.redistribute(None if which == self._ncpus else which)} pages"

    def _xcall(self, how: int) -> object:
        if len(self.tickets) >= TICKETS_MAX:
            return self._xc_wait(how)
        to = how % (2 * self._ncpus)
        if to >= self._ncpus:
            self.tickets.append(self.uvm.xcall.broadcast(self.shared.called))
            return "to all"
        try:
            self.tickets.append(self.uvm.xcall.unicast(self.shared.called, to))
        except ArgumentError:
            return f"CPU {to} is detached"
        return f"to CPU {to}"

    def _xc_wait(self, how: int) -> object:
        if not self.tickets:
            return "none under way"
        self.uvm.xcall.wait(self.tickets.popleft(), self.shared.ticket_s)
        return "done"

    def _free_nonsense(self, how: int) -> object:
        """Free what is no page of this system (R13)."""
        foreign = VmPage(0, 0, 0, "another system")
        for wrong in (None, foreign):
            try:
                self._cpu.pagefree(wrong)  # type: ignore[arg-type]
            except ForeignPage:
                continue
            raise StressError(f"{wrong!r} was freed into a system that it is no page of (R13)")
        return "refused"

    def _look(self, how: int) -> object:
        """Read counters as anybody may, and hold them against what they can be at all."""
        uvm = self.uvm
        seen = uvm.uvmexp.snapshot()
        causes = uvm.redistributions()
        lag = uvm.counter_lag()
        if seen.npages != uvm.param.npages or not -seen.npages <= lag <= seen.npages or min(uvm.cached_pages()) < 0:
            raise StressError(f"counters that cannot be: npages {seen.npages}, lag {lag}, cached {seen.cached}")
        return f"free {seen.free}, lag {lag}, drained under pressure {causes['pressure']} times"

    def _recolour(self, how: int) -> object:
        ncolors = 1 << how % COLORS_LOG2
        self.uvm.recolor(ncolors)
        return f"{ncolors} colours"

    def _pick(self, how: int) -> Held:
        """Bring one of the pages at hand to the end of the list, and return it."""
        mine = self.mine
        at = how % len(mine)
        mine[at], mine[-1] = mine[-1], mine[at]
        return mine[-1]

    def _keep(self, pg: VmPage) -> None:
        """Stamp a page as this CPU's."""
        self._version += 1
        self._stamper.stamp(pg, self.owner, self._version)
        self.mine.append((pg, self._version))
