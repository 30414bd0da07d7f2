"""A Cpu whose hit is a pop off one stack: the short ways of pagealloc() and pagefree() for designs without colours.

Source: the magazine layer of Bonwick and Adams (USENIX 2001); rmqueue_pcplist in mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from typing import ClassVar

from uvmfree.uvm.cpu import Cpu, Strat
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, PageList, VmPage


class StackCpu(Cpu):
    """A CPU with a stack of pages for each freelist, from which it allocates and to which it frees.

    Guarded by the CPU's guard.

    => `loaded[free_list]`: the stack. `_size`: pages that it may hold; one more goes by way of _put().
    => What is not on the stack is _get()'s to find.
    """

    __slots__ = ("_size", "loaded")

    idle_zeroing: ClassVar[bool] = False
    _size: int
    loaded: list[PageList]

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page: off the stack, without more ado."""
        if color is not None or strat != "normal":
            return super().pagealloc(zero, use_reserve, strat, free_list, color)
        self._acquire()
        try:
            loaded = self.loaded[0]
            if loaded:
                want = None
                pg = loaded.pop()
                pg.on = self._system
                if pg.color != self.nextcolor:
                    self.colormiss += 1
                self.nextcolor = (pg.color + 1) & self._colormask
                self.cpuhit += 1
                if zero:
                    self.zeromiss += 1
                    pg.flags = FRESH_ZERO
                else:
                    pg.flags = FRESH
            else:
                want = self._want(zero, use_reserve, strat, free_list)
                found, asked = self._search(want, self.nextcolor)
        finally:
            self._release()
        if want is not None:
            return self._finish(want, found, asked, None)
        if zero:
            self._pagezero(pg)
        return pg

    def pagefree(self, pg: VmPage) -> None:
        """Free one page onto the stack, while that has room."""
        self._acquire_free()
        try:
            if pg.on is not self._system:
                raise self._refuse_free(pg)
            loaded = self.loaded[pg.free_list]
            if len(loaded) < self._size:
                pg.on = loaded
                loaded.append(pg)
                gave = False
            else:
                drained = self.drained
                self._put(pg, UNKNOWN)
                gave = self.drained != drained
            self.frees += 1
        except AttributeError:
            self.check_page(pg)
            raise
        finally:
            self._release_free()
        if gave:
            self._state.pageout.wake_waiters()
