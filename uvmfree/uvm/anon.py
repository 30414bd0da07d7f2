"""Anonymous memory: a map of more pages than there is RAM, which gives the pagedaemon something real to reclaim.

Each virtual page of the map is an anon: untouched, in a page of RAM, or in a slot of the swap file. touch() brings it
in; the pagedaemon takes pages back by reclaim_one(), clean ones at once, dirty ones by way of the I/O thread.

=> Every page says in its bytes whose it is: (owner, index, version) at its beginning and at its end, checked on every
   access. A page that two owners have, a write that was lost, and a byte that is not zero in a page that was never
   written to are StampErrors at once.
=> The bytes of a page are touched without any lock, by whoever has made its anon busy. A busy anon is left alone by
   everybody else: who wants it waits, the pagedaemon passes it over.
=> A page that cannot be written to swap stays where it is, dirty, and is tried again in a later pass.

Source: uvm_fault, uvm_anon.c, uvm_aio_aiodone, uvmpd_scan_queue in sys/uvm of NetBSD 9.
"""

from collections import OrderedDict
from collections.abc import Callable

from uvmfree.errors import ArgumentError, AuditError, BindError, ClosedError, HangError, OutOfPages
from uvmfree.kern.lockrank import UVM_PAGEQLOCK
from uvmfree.machine.face import Machine
from uvmfree.uvm.anonpage import BUSY, Anon, AnonState, AnonStats, Counts, SwapReadError, findings
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import PG_CLEAN, VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.swap import SwapIO


class AnonMemory:
    """An anon map of `npages` virtual pages; a Reclaimer of the pagedaemon's.

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
        patience_s: float = 10.0,
    ) -> None:
        if type(npages) is not int or npages < 1:
            raise ArgumentError(f"npages={npages!r}: a map has at least 1 page")
        if type(owner) is not int or not 1 <= owner < 1 << 64:
            raise ArgumentError(f"owner={owner!r}: must be a number from 1 to 2**64 - 1")
        self.owner, self.npages = owner, npages
        self._machine, self._physmem, self._pageout, self._swap = machine, physmem, pageout, swap
        self._pagefree, self._wait, self._patience_s = pagefree, wait, patience_s
        self.mutex = machine.mutex(UVM_PAGEQLOCK)
        self._fault = self.mutex.handle("uvm_fault")
        self._scan = self.mutex.handle("uvmpd_scan")
        self._aiodone = self.mutex.handle("uvm_aio_aiodone")
        self._unbusied = machine.condvar()  # who wants a busy anon sleeps here
        self._anons = tuple(Anon(index) for index in range(npages))  # Anon says what guards its fields
        # All below is guarded by it.
        # The inactive queue, oldest first: just the anons that are RESIDENT or INUSE.
        self._inactive: OrderedDict[int, Anon] = OrderedDict()
        self._pageouts = 0  # anons in state PAGEOUT
        self._barren = 0  # anons looked at since a page was last freed, or a scan last gave up
        self._count = Counts()
        self._io_died: BaseException | None = None
        swap.on_death(self._io_has_died)

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every call raise by `refuse` from now on, without a lock; for the child of a fork."""
        for handle in (self._fault, self._scan, self._aiodone):
            handle.refuse(refuse)

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
        """Discard every page."""
        for index in range(self.npages):
            self.discard(cpu, index)

    def needs_scan(self) -> bool:
        """Whether pages should be reclaimed though memory is not short: never (R17)."""
        return False

    def reclaim_one(self) -> bool:
        """Look at the oldest page: free it, start to write it out, or pass it over (uvmpd_scan_queue).

        => One that is busy, was accessed lately, or finds swap full or closed goes to the end of the queue.
        => False if there is none, or if as many as twice all pages were looked at since one was last freed: all are
           busy, or swap is full or closed, or no write succeeds. So a scan ends; the next one tries again.
        => HangError if the I/O thread has died.
        """
        with self._scan:
            if not self._inactive or self._barren >= 2 * (len(self._inactive) + self._pageouts):
                self._barren = 0
                return False
            self._barren += 1
            anon = next(iter(self._inactive.values()))
            if not self._is_victim(anon):
                self._inactive.move_to_end(anon.index)
                return True
            pg, slot = anon.pg, anon.slot
            assert pg is not None
            dirty = anon.dirty
            if dirty:
                self._inactive.pop(anon.index)
                self._move(anon, AnonState.PAGEOUT)
                self._pageouts += 1
                self._count.pdpageouts += 1
            else:
                self._evict(anon)
        if dirty:
            assert slot is not None
            self._start_pageout(anon, pg, slot)
        else:
            self._pagefree(pg)
        return True

    def stats(self) -> AnonStats:
        """Return the state of the map and its counters, all of one moment; the slots are those of all maps."""
        with self._scan:
            states = [anon.state for anon in self._anons]
            return AnonStats(
                npages=self.npages,
                resident=sum(anon.pg is not None for anon in self._anons),
                dirty=sum(anon.dirty for anon in self._anons),
                swapped=states.count(AnonState.SWAPPED),
                busy=sum(state in BUSY for state in states),
                inactive=len(self._inactive),
                swpages=self._swap.file.nslots,
                swpginuse=self._swap.file.inuse,
                **vars(self._count),
            )

    @property
    def pdfreed(self) -> int:
        """Pages that the pagedaemon has freed; an unlocked read, which may be a moment old."""
        return self._count.pdfreed

    @property
    def pdpageouts(self) -> int:
        """Writes to swap that the pagedaemon has begun; an unlocked read likewise."""
        return self._count.pdpageouts

    def state(self, index: int) -> AnonState:
        """Return the state of one page, as of a moment ago."""
        with self._scan:
            return self._anon(index).state

    def audit(self) -> None:
        """Check every anon against its state and the queue; AuditError lists what is wrong."""
        with self._scan:
            found = list(findings(self.owner, self._anons, self._inactive, self._pageouts))
        if found:
            raise AuditError(found)

    def _is_victim(self, anon: Anon) -> bool:
        """Whether a page can be reclaimed now; a dirty one gets the slot to be written to. With the lock held."""
        if anon.state in BUSY:
            self._count.pdbusy += 1
            return False
        if anon.referenced:
            anon.referenced = False
            self._count.pdreact += 1
            return False
        if not anon.dirty:
            return True
        anon.slot = self._swap.allocate()
        if anon.slot is None and not self._swap.closed:
            self._count.swap_full += 1
        return anon.slot is not None

    def _evict(self, anon: Anon) -> None:
        """Part an anon from its page, which the caller then frees; with the lock held."""
        anon.pg = None
        anon.dirty = anon.referenced = False
        self._inactive.pop(anon.index, None)
        self._move(anon, AnonState.UNTOUCHED if anon.slot is None else AnonState.SWAPPED)
        self._count.pdfreed += 1
        self._barren = 0

    def _start_pageout(self, anon: Anon, pg: VmPage, slot: int) -> None:
        """Hand a page to the I/O thread; put it back if that was closed meanwhile, or has died."""
        self._pageout.start(1)
        try:
            self._swap.submit(slot, self._physmem.bytes_of(pg), lambda error: self._written(anon, pg, error))
        except BaseException as error:
            with self._scan:
                self._keep(anon)
            self._pageout.done(1)
            if not isinstance(error, ClosedError):
                raise

    def _written(self, anon: Anon, pg: VmPage, error: OSError | None) -> None:
        """Free a page that was written to swap, or keep one that was not (uvm_aio_aiodone); on the I/O thread."""
        with self._aiodone:
            if error is None:
                self._pageouts -= 1
                self._count.pgswapout += 1
                self._evict(anon)
            else:
                self._count.swap_write_errors += 1
                self._keep(anon)
        if error is None:
            self._pagefree(pg)
        self._pageout.done(1)

    def _keep(self, anon: Anon) -> None:
        """Leave an anon that was not written to swap where it is, as the youngest; with the lock held."""
        self._pageouts -= 1
        self._drop_slot(anon)
        anon.referenced = True
        self._inactive[anon.index] = anon
        self._move(anon, AnonState.RESIDENT)

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

    def _drop_slot(self, anon: Anon) -> None:
        """Give an anon's swap slot back, if it has one; with the lock held."""
        if anon.slot is not None:
            self._swap.file.free(anon.slot)
            anon.slot = None

    def _move(self, anon: Anon, state: AnonState) -> None:
        """Change an anon's state, and wake who waits for it if it is busy no more; with the lock held."""
        anon.move(state)
        if state not in BUSY:
            self._unbusied.broadcast()

    def _io_has_died(self, error: BaseException) -> None:
        """Tell all who wait, for a busy page or for a free one, that the I/O thread will do nothing for them."""
        with self._aiodone:
            self._io_died = error
            self._unbusied.broadcast()
        self._pageout.daemon_died(HangError(f"swapio died of {error!r}"))

    def _anon(self, index: int) -> Anon:
        if type(index) is not int or not 0 <= index < self.npages:
            raise ArgumentError(f"index={index!r}: map {self.owner} has pages 0 to {self.npages - 1}")
        return self._anons[index]

    def _deadline_ns(self) -> int:
        return self._machine.clock_ns() + round(self._patience_s * 1e9)

    def _out_of_pages(self, anon: Anon) -> str:
        now = self.stats()
        return (
            f"page {anon.index} of map {self.owner}: no page of RAM became free in {self._patience_s} s; "
            f"{now.swpginuse} of {now.swpages} swap slots are in use, {now.swap_write_errors} writes failed"
        )
