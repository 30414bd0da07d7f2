"""Zeroing free pages ahead of time, while a CPU is idle: its part of a Cpu.

=> A page that is being zeroed is on no free list, is not free, and is held without any lock (R16).
=> The lock is only tried for: an idle CPU has no business to make a busy one wait (R15).
=> Only the CPU's own pages are considered (R15, P6).

Source: uvm_pageidlezero in sys/uvm/uvm_page.c of NetBSD 9, which NetBSD 10 dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from uvmfree.errors import BindError
from uvmfree.uvm.binding import Bound
from uvmfree.uvm.page import NO_QUEUE, UNKNOWN, ZEROS, PageList, Place, VmPage

ZERO_PIECES: Final = 8
"""Pieces in which an idle CPU zeroes a page: it yields after one, about 100 ns of copying."""


class IdleCall:
    """One call of pageidlezero().

    => `over`: stored once, by its thread, when no page is at hand any more; read under the lock that guards the page.
    """

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class IdleZero(Bound, base=True):
    """What of a Cpu zeroes pages while it is idle."""

    __slots__ = ()

    idle_zeroing: ClassVar[bool] = True
    """Whether a design keeps zeroed pages apart; one that does not zeroes none ahead of time."""

    def pageidlezero(self, runnable: Callable[[], bool] = lambda: False) -> int:
        """Zero free pages of this CPU ahead of time, while it is idle (uvm_pageidlezero, R14 to R16, P6).

        => Returns how many it zeroed. At once, if there are enough zeroed pages (R14) or the lock is busy (R15).
        => Stops as soon as `runnable()`, or when that raises: the page at hand goes back as it came (R16).
        => Source: uvm_pageidlezero in sys/uvm/uvm_page.c.
        """
        call, done = IdleCall(), 0
        try:
            while not runnable() and self._try_idle():
                try:
                    pg = self._idle_take()
                    if pg is not None:
                        self._calls[pg.pfn] = call
                finally:
                    self._release_idle()
                if pg is None:
                    break
                # The page is on no free list now, and no lock is held: this is what takes the time.
                finished = False
                try:
                    finished = self._zero_unless(pg, runnable)
                finally:
                    self._zeroed(pg, finished)
                done += finished
        finally:
            call.over = True
        return done

    def _zeroed(self, pg: VmPage, finished: bool) -> None:
        """Put a page back after zeroing, by way of whoever plays the CPU by now (R16)."""
        while True:
            # Whoever holds the page's list now: this CPU, or the heir of one that was detached.
            owner = pg.owner
            cpu: IdleZero = self._cpus[self.index if owner is None else owner]
            try:
                cpu._acquire_free()
            except BindError:
                continue  # another thread took the CPU over between the two lines above
            if pg.on is cpu._zeroing and not cpu.stopped:
                break
            cpu._release_free()  # it was taken over, or detached, while we waited for the lock
        try:
            cpu._zeroing.remove(pg)
            cpu._calls.pop(pg.pfn, None)
            cpu._put(pg, ZEROS if finished else UNKNOWN)
            if finished:
                cpu.zeroed += 1
            else:
                cpu.zeroaborts += 1
        finally:
            cpu._release_free()

    def zeroing(self) -> tuple[VmPage, ...]:
        """Return the page that is being zeroed, if there is one; with the lock held."""
        return tuple(self._zeroing)

    def lost(self, pg: VmPage) -> bool:
        """Whether nobody is at work any more on a page that is being zeroed; with the lock held."""
        call = self._calls.get(pg.pfn)
        return call is None or call.over

    def _idle_take(self) -> VmPage | None:
        """Take an UNKNOWN page of this CPU off its list for zeroing, if it is time for that (P6, R15).

        => With the guard held. All freelists of a colour before the next colour.
        """
        if not self.idle_zeroing:
            return None
        lists = [pages for pages in self.lists() if isinstance(pages, PageList)]
        for pages in lists:
            if pages.ghosts:
                pages.sweep()
        lists = [pages for pages in lists if pages]
        unknown = [pages for pages in lists if pages.queue == UNKNOWN]
        if not self._armed(sum(map(len, unknown)), sum(map(len, lists)) - sum(map(len, unknown))):
            return None
        mask, start = self._colormask, self.nextcolor
        nearest = min(unknown, key=lambda pages: (((pages.color or 0) - start) & mask, pages.free_list or 0))
        pg = nearest.pop()
        self._zeroing.put(pg)
        return pg

    def _armed(self, unknown: int, zeros: int) -> bool:
        """Whether idle zeroing is worth it, with so many pages on each queue (R14)."""
        return zeros < unknown and unknown >= self._colormask + 1

    def _zero_unless(self, pg: VmPage, runnable: Callable[[], bool]) -> bool:
        """Zero a page piece by piece; False, with the page half done, if something became runnable."""
        begin = pg.pfn * self._pagesize
        piece = self._pagesize // ZERO_PIECES
        for start in range(begin, begin + self._pagesize, piece):
            if runnable():
                return False
            try:
                self._ram[start : start + piece] = self._zero_page[:piece]
            except ValueError:
                self.check_running()  # the system was closed, and its RAM given back, since the page was taken
                raise
        return True

    def bequeath(self, heir: IdleZero) -> None:
        """Leave a page that is being zeroed to another CPU (R16); with everything stopped."""
        heir._zeroing.adopt(self._zeroing)
        heir._calls |= self._calls
        heir.filled += len(self._zeroing)
        self.drained += len(self._zeroing)
        self._zeroing, self._calls = PageList(Place.ZEROING, self.index, NO_QUEUE), {}
