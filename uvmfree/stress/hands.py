"""What one CPU of a stress run holds, and all that it can do: an operation for each kind of step.

=> Everything here belongs to the thread that plays the CPU; whoever ends the run lets go of it when that has ended.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from uvmfree.errors import ArgumentError, ForeignPage, HangError, OutOfPages
from uvmfree.kern.xcall import Ticket
from uvmfree.stress.program import KINDS
from uvmfree.stress.shared import Shared, StressError
from uvmfree.stress.stamps import CPU0, LOOSE, TRAY, Held, Stamper
from uvmfree.uvm.cpu import Cpu, Strat
from uvmfree.uvm.page import VmPage

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

Does = Callable[[int], object]
"""Does a step, as the number in it says how; returns its outcome: a page or index, or words."""


class Hands:
    """The hands of one CPU. `cpu`, `stamper`: set by its player before the first operation.

    => `mine`, `runs`, `tickets`: what it holds; `owner`: what its pages are stamped with.
    => `refused`: allocations that returned None. `out_of_pages`: accesses and runs that raised OutOfPages.
    """

    cpu: Cpu
    stamper: Stamper

    def __init__(self, shared: Shared, index: int) -> None:
        self.shared, self.uvm = shared, shared.uvm
        self.refused = self.out_of_pages = 0
        self.mine: list[Held] = []
        self.runs: list[list[Held]] = []
        self.tickets: deque[Ticket] = deque()
        param = shared.uvm.param
        self._ncpus, self._nfreelists = param.ncpus, param.nfreelists
        self._in_hand = max(4, min(IN_HAND_MAX, param.npages // (4 * param.ncpus)))
        self.owner, self._version = CPU0 + index, 0
        self._tray, self._wait_s = shared.trays[index], shared.brief_ns(WAIT_S) / 1e9

    def operations(self) -> tuple[Does, ...]:
        """Return what does a step of each kind, in the order of KINDS."""
        does: dict[str, Does] = {
            "alloc": self._alloc,
            "free": self._free,
            "write": self._write,
            "hand over": self._hand_over,
            "take over": self._take_over,
            "let go": self._let_go,
            "touch": partial(self._patient, partial(self._touch, write=False)),
            "touch, write": partial(self._patient, partial(self._touch, write=True)),
            "discard": partial(self._patient, self._discard),
            "pglistalloc": self._pglistalloc,
            "pglistfree": self._pglistfree,
            "idle zero": self._idle_zero,
            "redistribute": self._redistribute,
            "wait": self._wait,
            "kick": self._kick,
            "xcall": self._xcall,
            "xc_wait": self._xc_wait,
            "free nonsense": self._free_nonsense,
            "look": self._look,
            "recolour": self._recolour,
        }
        return tuple(does[kind] for kind in KINDS)

    def _alloc(self, how: int) -> object:
        """Allocate a page: plainly, zeroed, from the reserve, of a colour, of a freelist."""
        if len(self.mine) >= self._in_hand:
            return self._free(how)
        variant, zero, use_reserve, which = how & 7, how >> 3 & 3 == 0, how >> 5 & 15 == 0, how >> 9
        if variant < 5:
            pg = self.cpu.pagealloc(zero, use_reserve)
        elif variant == 5:
            pg = self.cpu.pagealloc(zero, use_reserve, color=which & 31)
        else:
            strat: Strat = "only" if variant == 6 else "fallback"
            pg = self.cpu.pagealloc(zero, use_reserve, strat, which % self._nfreelists)
        if pg is None:
            self.refused += 1
            return "no page"
        if zero:
            self.stamper.check_zero(pg)
        self._keep(pg)
        return pg.pfn

    def _free(self, how: int) -> object:
        if not self.mine:
            return "none to free"
        pg, version = self._pick(how)
        self.stamper.check(pg, self.owner, version)
        self.cpu.pagefree(pg)
        self.mine.pop()
        return pg.pfn

    def _write(self, how: int) -> object:
        if not self.mine:
            return "none to write to"
        pg, version = self._pick(how)
        self.stamper.check(pg, self.owner, version)
        self.mine.pop()
        self._keep(pg)
        return pg.pfn

    def _hand_over(self, how: int) -> object:
        """Put a page where another CPU finds it, which will free it there (Q1)."""
        tray = self.shared.trays[how % self._ncpus]
        if not self.mine or len(tray) >= TRAY_MAX:
            return "none to hand over, or a full tray"
        pg, version = self._pick(how >> 8)
        self.stamper.check(pg, self.owner, version)
        self.stamper.stamp(pg, TRAY, version)
        tray.append(self.mine.pop())
        return pg.pfn

    def _take_over(self, how: int) -> object:
        taken = 0
        for _ in range(1 + (how & 7)):
            if not self._tray:
                break
            pg, version = self._tray.popleft()
            self.stamper.check(pg, TRAY, version)
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
        self.stamper.check(pg, self.owner, version)
        self.stamper.stamp(pg, LOOSE, version)
        self.shared.loose.append(self.mine.pop())
        return pg.pfn

    def _touch(self, how: int, *, write: bool) -> object:
        """Access a page of an anon map, low ones more often: fault it in, from swap if it is there."""
        anons = self.shared.anons[how % len(self.shared.anons)]
        index = ((how >> 4 & 0xFFFF) * (how >> 20 & 0xFFFF) * anons.npages) >> 32
        try:
            anons.touch(self.cpu, index, write=write)
        except OutOfPages:
            self.out_of_pages += 1
            for at in range(index, index + DISCARDED):
                anons.discard(self.cpu, at % anons.npages)
            return f"no page for {index}; it and the next are discarded"
        return index

    def _patient(self, access: Does, how: int) -> object:
        """Do an access; one that waits in vain for others to be done with a page is a hang, unless all are late."""
        try:
            return access(how)
        except HangError as error:
            if not self.shared.starved():
                raise
            self.out_of_pages += 1
            return f"late: {error}"

    def _discard(self, how: int) -> object:
        anons = self.shared.anons[how % len(self.shared.anons)]
        index = (how >> 4) % anons.npages
        anons.discard(self.cpu, index)
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
            self.stamper.stamp(pg, self.owner, self._version)
        self.runs.append([(pg, self._version) for pg in run])
        return f"{size} pages from {run[0].pfn:#x}"

    def _pglistfree(self, how: int) -> object:
        if not self.runs:
            return "none to free"
        run = self.runs[0]
        while run:
            pg, version = run[-1]
            self.stamper.check(pg, self.owner, version)
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

        return f"{self.cpu.pageidlezero(runnable)} pages"

    def _redistribute(self, how: int) -> object:
        which = how % (self._ncpus + 1)
        return f"{self.uvm.redistribute(None if which == self._ncpus else which)} pages"

    def _wait(self, how: int) -> object:
        return self.uvm.wait(self._wait_s)

    def _kick(self, how: int) -> None:
        self.uvm.kick_pdaemon()

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
        self.shared.xc_wait(self.tickets.popleft())
        return "done"

    def _free_nonsense(self, how: int) -> object:
        """Free what is no page of this system (R13)."""
        foreign = VmPage(0, 0, 0, "another system")
        for wrong in (None, foreign):
            try:
                self.cpu.pagefree(wrong)  # type: ignore[arg-type]
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
        self.stamper.stamp(pg, self.owner, self._version)
        self.mine.append((pg, self._version))
