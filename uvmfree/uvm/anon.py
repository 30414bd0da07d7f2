"""Anonymous memory: a map of more pages than there is RAM, which gives the pagedaemon something real to reclaim.

Each virtual page of the map is an anon: untouched, in a page of RAM, or in a slot of the swap file. touch() brings it
in; the pagedaemon takes pages back (uvm/amap.py).

=> Every page says in its bytes whose it is: (owner, index, version) at its beginning and at its end, checked on every
   access. A page that two owners have, a write that was lost, and a byte that is not zero in a page that was never
   written to are StampErrors at once.
=> The bytes of a page are touched without any lock, by whoever has made its anon busy. A busy anon is left alone by
   everybody else: who wants it waits, the pagedaemon passes it over.

Source: uvm_fault, uvm_anon.c in sys/uvm of NetBSD 9.
"""

from collections.abc import Callable
from typing import Final

from uvmfree.errors import BindError, HangError, OutOfPages
from uvmfree.machine.face import Machine
from uvmfree.uvm.amap import Amap
from uvmfree.uvm.anonpage import BUSY, Anon, AnonState, SwapReadError
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import PG_CLEAN, VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.swap import SwapIO

PATIENCE_S: Final = 10.0
"""How long an access waits, all in all, for a page that is busy or not to be had."""


class AnonMemory(Amap):
    """An anon map of `npages` virtual pages.

    => `owner` is a number from 1 up that no other map of the system has: it is stamped into every page.
    => `pagefree(pg)` frees a page, called by the pagedaemon and by the I/O thread with no lock held. The page has to
       count as free when it returns, or waiters will not be told of it.
    => `wait(timeout_s)` is uvm_wait, called with no lock held.
    => All waits of one access together are bounded by `patience_s`: a system whose daemon can free no more pages,
       because swap is full or broken, says so by OutOfPages instead of trying for ever.

    >>> uvm = uvmfree.boot(npages=256, ncpus=1)
    >>> memory = uvm.anon_memory(400, swap_pages=400)  # more than there is RAM
    >>> with uvm, uvm.run_on(0) as cpu:
    ...     for index in range(400):
    ...         memory.touch(cpu, index, write=True)
    ...     stats = memory.stats()
    ...     memory.free_all(cpu)
    >>> stats.faults, stats.pgswapout > 0
    (400, True)
    """

    def __init__(
        self,
        machine: Machine,
        physmem: PhysMem,
        pageout: Pageout,
        swap: SwapIO,
        *,
        npages: int,
        owner: int = 1,
        pagefree: Callable[[VmPage], None],
        wait: Callable[[float], bool],
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(machine, physmem, pageout, swap, npages, owner, pagefree)
        self._machine, self._wait, self._patience_s = machine, wait, patience_s

    def touch(self, cpu: Cpu, index: int, *, write: bool = False) -> None:
        """Access a page: bring it in, check its stamps, and if `write` stamp it with its next version (uvm_fault).

        => `cpu` is the calling thread's; no lock may be held.
        => StampError: memory is corrupt. SwapReadError: it could not be read back. OutOfPages: no page was to be had
           in `patience_s`. HangError: it stayed busy that long, or the I/O thread or the pagedaemon has died.
        """
        anon = self._anon(index)
        deadline_ns = self._deadline_ns()
        fresh = False
        while (was := self._claim(anon, deadline_ns)) is not AnonState.RESIDENT:
            if self._pagein(cpu, anon, was):
                fresh = was is AnonState.UNTOUCHED
                break
            left_s = (deadline_ns - self._machine.clock_ns()) / 1e9
            if left_s <= 0 or not self._wait(left_s):
                raise OutOfPages(self._out_of_pages(anon))
        wrote = False
        try:
            assert anon.pg is not None
            view = self._physmem.bytes_of(anon.pg)
            anon.check(self.owner, view, fresh=fresh)
            if write:
                anon.write(self.owner, view)
                wrote = True
        finally:
            self._unbusy(anon, wrote=wrote, referenced=was is AnonState.RESIDENT)

    def discard(self, cpu: Cpu, index: int) -> None:
        """Forget a page's contents and free what holds them; it reads as zeros from then on.

        => HangError if it stays busy for `patience_s`.
        """
        anon = self._anon(index)
        self._claim(anon, self._deadline_ns())
        anon.version = 0
        with self._fault:
            pg, anon.pg = anon.pg, None
            self._drop_slot(anon)
            anon.dirty = anon.referenced = False
            self._inactive.pop(anon.index, None)
            self._move(anon, AnonState.UNTOUCHED)
        if pg is not None:
            self._free(cpu, pg)

    def free_all(self, cpu: Cpu) -> None:
        """Discard every page; O(npages). HangError as of discard()."""
        for index in range(self.npages):
            self.discard(cpu, index)

    def _claim(self, anon: Anon, deadline_ns: int) -> AnonState:
        """Make an anon busy, when nobody else has; return its state before."""
        with self._fault:
            while anon.state in BUSY:
                if self._io_died is not None:
                    raise HangError(f"swapio died of {self._io_died!r}") from self._io_died
                left_s = (deadline_ns - self._machine.clock_ns()) / 1e9
                if left_s <= 0:
                    who = f"page {anon.index} of map {self.owner}"
                    raise HangError(f"{who} stayed busy for {self._patience_s} s: {anon.state.value}")
                self._count.fltpgwait += 1
                self._unbusied.wait(self._fault, left_s)
            was = anon.state
            self._move(anon, AnonState.INUSE if was is AnonState.RESIDENT else AnonState.PAGEIN)
        return was

    def _pagein(self, cpu: Cpu, anon: Anon, was: AnonState) -> bool:
        """Bring in an anon that the caller has made busy; if there is no page, put it back and return False."""
        pg, read_error = None, 0
        try:
            pg = cpu.pagealloc(zero=was is AnonState.UNTOUCHED)
            if pg is not None and was is AnonState.SWAPPED:
                try:
                    self._read(anon, pg)
                except BaseException as error:
                    read_error = isinstance(error, SwapReadError)
                    self._free(cpu, pg)
                    raise
        except BaseException:
            with self._fault:
                self._count.swap_read_errors += read_error
                self._move(anon, was)
            raise
        with self._fault:
            if pg is None:
                self._count.fltnoram += 1
                self._move(anon, was)
                return False
            anon.pg = pg
            self._inactive[anon.index] = anon
            self._move(anon, AnonState.INUSE)
            if was is AnonState.SWAPPED:
                self._count.pgswapin += 1
            else:
                self._count.flt_przero += 1
        return True

    def _free(self, cpu: Cpu, pg: VmPage) -> None:
        """Free a page to the caller's CPU; past it, if that was detached or taken over meanwhile (Q13)."""
        try:
            cpu.pagefree(pg)
        except BindError:
            self._pagefree(pg)

    def _read(self, anon: Anon, pg: VmPage) -> None:
        """Fill a page from swap."""
        assert anon.slot is not None
        try:
            data = self._swap.file.read(anon.slot)
        except OSError as error:
            raise SwapReadError(f"page {anon.index} of map {self.owner} cannot be read back: {error}") from error
        self._physmem.bytes_of(pg)[:] = data
        pg.flags = PG_CLEAN

    def _unbusy(self, anon: Anon, *, wrote: bool, referenced: bool) -> None:
        """Let the others have an anon whose bytes were accessed."""
        with self._fault:
            self._count.faults += 1
            anon.referenced |= referenced
            if wrote:
                anon.dirty = True
                self._drop_slot(anon)  # what it says is old now
            self._move(anon, AnonState.RESIDENT)

    def _deadline_ns(self) -> int:
        return self._machine.clock_ns() + round(self._patience_s * 1e9)

    def _out_of_pages(self, anon: Anon) -> str:
        now = self.stats()
        return (
            f"page {anon.index} of map {self.owner}: no page of RAM became free in {self._patience_s} s; "
            f"{now.swpginuse} of {now.swpages} swap slots are in use, {now.swap_write_errors} writes failed"
        )
