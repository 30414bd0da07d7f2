"""An amap: the anons of a map, the inactive queue, and how the pagedaemon takes their pages back.

A clean page is freed at once, a dirty one when the I/O thread has written it to swap.

=> A page that cannot be written to swap stays where it is, dirty, and is tried again in a later pass.
=> A busy anon is passed over; `unbusied` tells those who wait for it when it is busy no more.

Source: uvmpd_scan_queue, uvm_aio_aiodone in sys/uvm of NetBSD 9.
"""

from collections import OrderedDict
from collections.abc import Callable

from uvmfree.errors import ArgumentError, AuditError, ClosedError, HangError
from uvmfree.kern.lockrank import UVM_PAGEQLOCK
from uvmfree.machine.face import Machine
from uvmfree.uvm.anonpage import BUSY, Anon, AnonState, AnonStats, Counts, findings
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.swap import SwapIO


class Amap:
    """The anons of `npages` virtual pages; a Reclaimer of the pagedaemon's. Arguments: AnonMemory."""

    def __init__(
        self,
        machine: Machine,
        physmem: PhysMem,
        pageout: Pageout,
        swap: SwapIO,
        npages: int,
        owner: int,
        pagefree: Callable[[VmPage], None],
    ) -> None:
        if type(npages) is not int or npages < 1:
            raise ArgumentError(f"npages={npages!r}: a map has at least 1 page")
        if type(owner) is not int or not 1 <= owner < 1 << 64:
            raise ArgumentError(f"owner={owner!r}: must be a number from 1 to 2**64 - 1")
        self.owner, self.npages = owner, npages
        self._physmem, self._pageout, self._swap, self._pagefree = physmem, pageout, swap, pagefree
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
